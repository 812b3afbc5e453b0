"""Downloads from a server on this machine, which breaks off, lies, halts and is gone."""

import hashlib
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_deit.weights.download import DownloadError, HubUnreachableError, from_hub, from_url, kept_from_hub
from tests.loopback import pretend_hub, serving

pytest.importorskip("huggingface_hub", reason="the hub's files come by huggingface_hub")

CONTENT = np.random.default_rng(0).bytes(3_000_000)
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def server(monkeypatch, home):
    with serving() as loopback:
        pretend_hub(monkeypatch, loopback.url)
        loopback.add_to_hub("timm/small", CONTENT)
        loopback.files["weights.pth"] = CONTENT
        yield loopback


def by_hub(server):
    return from_hub("timm/small")


def by_address(server):
    return from_url(f"{server.url}/weights.pth", hashlib.sha256(CONTENT).hexdigest()[:8])


both_ways = pytest.mark.parametrize("fetched", [by_hub, by_address])


def large_files(home):
    return [path for path in home.rglob("*") if path.is_file() and path.stat().st_size > 100_000]


@both_ways
def test_a_file_arrives_whole_and_is_kept(fetched, server, home):
    path = fetched(server)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(home)
    assert fetched(server) == path
    assert server.downloads() == [0]


def test_the_hubs_other_file_is_taken_where_the_first_is_missing(server):
    server.add_to_hub("someone/old", CONTENT, "pytorch_model.bin")
    assert from_hub("someone/old").name == "pytorch_model.bin"


def test_a_revision_is_another_file(server):
    server.add_to_hub("timm/small", CONTENT[::-1], revision="v2")
    assert from_hub("timm/small", "v2").read_bytes() == CONTENT[::-1]


def test_a_cut_connection_is_resumed_where_it_broke_off(server, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100_000)  # what is kept when it is cut
    server.cuts = 1
    assert from_hub("timm/small").read_bytes() == CONTENT
    first, second = server.downloads()
    assert first == 0
    assert 0 < second <= len(CONTENT) // 2


def test_a_cut_connection_to_an_address_leaves_nothing_and_the_next_attempt_begins_anew(server, home):
    server.cuts = 1
    with pytest.raises(DownloadError, match=r"/weights.pth"):
        by_address(server)
    assert not large_files(home)
    assert by_address(server).read_bytes() == CONTENT


@both_ways
def test_another_file_than_the_published_one_is_refused_and_not_kept(fetched, server, home):
    server.corrupt = True
    with pytest.raises(DownloadError, match="is not what was published: its SHA-256 is"):
        fetched(server)
    assert not large_files(home)
    server.corrupt = False
    assert fetched(server).read_bytes() == CONTENT


@both_ways
def test_a_kept_file_that_has_changed_is_refused(fetched, server, home):
    with fetched(server).open("r+b") as file:
        file.write(b"bit rot")
    with pytest.raises(DownloadError, match="the next attempt downloads it again"):
        fetched(server)
    assert fetched(server).read_bytes() == CONTENT


def test_nothing_on_the_hub_is_an_error(server):
    with pytest.raises(DownloadError, match="'timm/none' on the hub has none of model.safetensors, pytorch_model.bin"):
        from_hub("timm/none")
    with pytest.raises(DownloadError, match="404"):
        from_url(f"{server.url}/none.pth")


def test_without_a_network_what_was_downloaded_is_found(server, monkeypatch):
    server.add_to_hub("someone/old", CONTENT[::-1], "pytorch_model.bin")
    kept = [by_hub(server), by_address(server), from_hub("someone/old")]
    pretend_hub(monkeypatch, NOBODY)
    monkeypatch.setattr(server, "files", {})
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the attempts
    assert [by_hub(server), by_address(server), from_hub("someone/old")] == kept
    assert kept_from_hub("someone/old") == kept[2]
    assert kept_from_hub("timm/other") is None


def test_a_home_that_is_a_link_serves_as_well(server, home, monkeypatch):
    (home / "real").mkdir()
    (home / "link").symlink_to(home / "real")
    monkeypatch.setenv("KERAS_HOME", str(home / "link"))
    for fetched in (by_hub, by_address):
        with fetched(server).open("r+b") as file:
            file.write(b"bit rot")
        with pytest.raises(DownloadError, match="the next attempt downloads it again"):
            fetched(server)
        assert fetched(server).read_bytes() == CONTENT


def test_what_the_hub_tells_beside_the_weights_is_fetched(server):
    server.add_to_hub("timm/small", b"{}", "config.json")
    assert by_hub(server).with_name("config.json").read_bytes() == b"{}"


def test_without_a_network_the_error_says_so(home, monkeypatch):
    pretend_hub(monkeypatch, NOBODY)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the attempts
    with pytest.raises(
        HubUnreachableError, match="does not answer, and 'timm/small' was not downloaded before: .*refused"
    ):
        from_hub("timm/small")
    with pytest.raises(DownloadError, match=r"127.0.0.1:1/weights.pth: .*refused"):
        from_url(f"{NOBODY}/weights.pth")


FETCH = """
import os, resource, sys
if sys.argv[3] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
from keras_deit.weights.download import from_hub, from_url
print("ready", flush=True)
try:
    from_hub("timm/small") if sys.argv[1] == "hub" else from_url(sys.argv[2] + "/weights.pth")
except OSError as error:
    print(error.errno, error)
"""


def fetching(way, server, home, limit=0):
    """Another process that downloads, and may write files of `limit` bytes at most."""
    environment = {**os.environ, "HF_ENDPOINT": server.url, "KERAS_HOME": str(home)}
    command = [sys.executable, "-c", FETCH, way, server.url, str(limit)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


on_unix = pytest.mark.skipif(os.name == "nt", reason="limits and signals of Unix")


@on_unix
@pytest.mark.parametrize("way", ["hub", "address"])
def test_where_there_is_no_room_the_error_says_so_and_no_half_file_is_left(way, server, home):
    process = fetching(way, server, home, limit=1_000_000)
    printed, errors = process.communicate(timeout=120)
    assert "There is no room for" in printed, errors
    assert "KERAS_HOME names another place" in printed
    assert not large_files(home)


@on_unix
@pytest.mark.parametrize(("way", "fetched"), [("hub", by_hub), ("address", by_address)])
def test_a_download_that_was_killed_is_never_taken_for_a_whole_one(way, fetched, server, home):
    server.stalls = True
    process = fetching(way, server, home)
    assert server.stalled.wait(120)
    process.kill()
    process.communicate()
    server.stalls = False
    assert fetched(server).read_bytes() == CONTENT
    assert server.downloads() == [0, 0]
    assert not list((home / "keras_deit" / "official").glob(".weights.pth-*"))  # what the killed one left
