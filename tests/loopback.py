"""A server on the loopback interface that imitates the Hugging Face hub, with faults on request."""

import contextlib
import hashlib
import http.server
import threading

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Loopback:
    """State of the server.

    Attributes:
        files: Dictionary from paths, such as `"timm/name/resolve/main/model.safetensors"`, to contents as bytes.
        cuts: Number of the next downloads that break off half-way.
        corrupt: Whether another content of the same length is sent.
        stalls: Whether downloads stop half-way without closing the connection.
        stalled: Event that is set when a download has stopped.
        stopping: Event that is set when the server ends.
        requests: List of `(method, path, first byte)` of the requests so far.
        url: Address of the server.
    """

    def __init__(self):
        self.files = {}
        self.cuts = 0
        self.corrupt = False
        self.stalls = False
        self.stalled = threading.Event()
        self.stopping = threading.Event()
        self.requests = []
        self.url = None

    def add_to_hub(self, repository, content, name="model.safetensors", revision="main"):
        """Adds a file to a repository."""
        self.files[f"{repository}/resolve/{revision}/{name}"] = content

    def downloads(self):
        """The first bytes of the downloads requested so far: 0, or where a download was resumed."""
        return [first for method, path, first in self.requests if method == "GET" and path in self.files]


@contextlib.contextmanager
def serving():
    """Runs a server inside a `with` block.

    Yields:
        The `Loopback` that controls the server.
    """
    loopback = Loopback()
    handler = type("Handler", (_Handler,), {"loopback": loopback})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    loopback.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield loopback
    finally:
        loopback.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


def pretend_hub(monkeypatch, url):
    """Makes huggingface_hub download from a server instead of the hub."""
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    loopback = None

    def do_HEAD(self):
        self._respond(send=False)

    def do_GET(self):
        self._respond(send=True)

    def log_message(self, *arguments):
        """Logs nothing."""

    def _respond(self, send):
        path = self.path.lstrip("/").partition("?")[0]
        content = self.loopback.files.get(path)
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.loopback.requests.append((self.command, path, first))
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if send:
            self._send(content, first)

    def _send(self, content, first):
        if self.loopback.corrupt:
            content = bytes(len(content))
        if not (self.loopback.cuts or self.loopback.stalls):
            self.wfile.write(content[first:])
            return
        self.wfile.write(content[first : (first + len(content)) // 2])
        self.wfile.flush()
        if self.loopback.stalls:
            self.loopback.stalled.set()
            self.loopback.stopping.wait()
        else:
            self.loopback.cuts -= 1
        self.close_connection = True  # before the promised number of bytes is sent
