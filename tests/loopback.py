"""A server on this machine that answers as the hub does, and misbehaves when told to."""

import contextlib
import hashlib
import http.server
import threading

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Loopback:
    """What the server holds and does.

    Attributes:
        files: Content by path, such as `"timm/name/resolve/main/model.safetensors"`.
        cuts: How many of the next downloads break off half-way.
        spoilt: Whether another content of the same length is sent.
        stalls: Whether downloads come to a halt half-way; `halted` is set when one does.
        requests: `(method, path, first byte)` of what was asked for.
        url: Its address.
    """

    def __init__(self):
        self.files = {}
        self.cuts = 0
        self.spoilt = False
        self.stalls = False
        self.halted = threading.Event()
        self.stopping = threading.Event()
        self.requests = []
        self.url = None

    def add_to_hub(self, repository, content, name="model.safetensors", revision="main"):
        """Puts a file into a repository."""
        self.files[f"{repository}/resolve/{revision}/{name}"] = content

    def downloads(self):
        """First bytes of the downloads that were asked for."""
        return [first for method, path, first in self.requests if method == "GET" and path in self.files]


@contextlib.contextmanager
def serving():
    """Runs a server.

    Yields:
        Its `Loopback`.
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
    """Makes huggingface_hub take a server for the hub."""
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    loopback = None

    def do_HEAD(self):
        self._answer(send=False)

    def do_GET(self):
        self._answer(send=True)

    def log_message(self, *arguments):
        """Says nothing."""

    def _answer(self, send):
        path = self.path.lstrip("/").partition("?")[0]
        content = self.loopback.files.get(path)
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.loopback.requests.append((self.command, path, first))
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
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
        if self.loopback.spoilt:
            content = bytes(len(content))
        if not (self.loopback.cuts or self.loopback.stalls):
            self.wfile.write(content[first:])
            return
        self.wfile.write(content[first : (first + len(content)) // 2])
        self.wfile.flush()
        if self.loopback.stalls:
            self.loopback.halted.set()
            self.loopback.stopping.wait()
        else:
            self.loopback.cuts -= 1
        self.close_connection = True  # before all that was promised is sent
