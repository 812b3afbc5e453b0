"""Downloads from a local server that breaks off, sends wrong files, stalls or is gone."""

import hashlib
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_deit.weights.download import DownloadError, HubUnreachableError, cached_from_hub, from_hub, from_url
from tests.loopback import pretend_hub, serving

pytest.importorskip("huggingface_hub", reason="huggingface_hub downloads the hub's files")

pytestmark = pytest.mark.backend_independent

CONTENT = np.random.default_rng(0).bytes(3_000_000)
NO_SERVER = "http://127.0.0.1:1"


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


def from_the_hub(server):
    return from_hub("timm/small")


def from_an_address(server):
    return from_url(f"{server.url}/weights.pth", hashlib.sha256(CONTENT).hexdigest()[:8])


both_sources = pytest.mark.parametrize("download", [from_the_hub, from_an_address])


def large_files(home):
    return [path for path in home.rglob("*") if path.is_file() and path.stat().st_size > 100_000]


@both_sources
def test_a_file_is_downloaded_once_and_cached(download, server, home):
    path = download(server)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(home)
    assert download(server) == path
    assert server.downloads() == [0]


def test_the_pytorch_file_is_downloaded_if_there_is_no_safetensors_file(server):
    server.add_to_hub("someone/old", CONTENT, "pytorch_model.bin")
    assert from_hub("someone/old").name == "pytorch_model.bin"


def test_a_checkpoint_in_several_files_is_downloaded_whole(server, monkeypatch):
    index = {"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}
    server.add_to_hub("someone/large", json.dumps(index).encode(), "model.safetensors.index.json")
    server.add_to_hub("someone/large", CONTENT, "part-1.safetensors")
    with pytest.raises(
        DownloadError, match="lacks the file part-2.safetensors, which model.safetensors.index.json lists"
    ):
        from_hub("someone/large")
    assert cached_from_hub("someone/large") is None
    server.add_to_hub("someone/large", CONTENT[::-1], "part-2.safetensors")
    path = from_hub("someone/large")
    assert path.with_name("part-2.safetensors").read_bytes() == CONTENT[::-1]
    assert cached_from_hub("someone/large") == path


def test_a_revision_has_its_own_file(server):
    server.add_to_hub("timm/small", CONTENT[::-1], revision="v2")
    assert from_hub("timm/small", "v2").read_bytes() == CONTENT[::-1]


def test_an_interrupted_download_from_the_hub_is_resumed(server, monkeypatch):
    monkeypatch.setattr(
        "huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100_000
    )  # received data is stored chunk by chunk
    server.cuts = 1
    assert from_hub("timm/small").read_bytes() == CONTENT
    first, second = server.downloads()
    assert first == 0
    assert 0 < second <= len(CONTENT) // 2


def test_an_interrupted_download_from_an_address_leaves_nothing_and_starts_again(server, home):
    server.cuts = 1
    with pytest.raises(DownloadError, match=r"/weights.pth"):
        from_an_address(server)
    assert not large_files(home)
    assert from_an_address(server).read_bytes() == CONTENT


@both_sources
def test_a_file_with_another_hash_is_refused_and_not_cached(download, server, home):
    server.corrupt = True
    with pytest.raises(DownloadError, match="is not the published file: its SHA-256 is"):
        download(server)
    assert not large_files(home)
    server.corrupt = False
    assert download(server).read_bytes() == CONTENT


@both_sources
def test_a_cached_file_that_has_changed_is_refused(download, server, home):
    with download(server).open("r+b") as file:
        file.write(b"bit rot")
    with pytest.raises(DownloadError, match="the next attempt downloads it again"):
        download(server)
    assert download(server).read_bytes() == CONTENT


def test_a_missing_file_is_an_error(server):
    with pytest.raises(
        DownloadError, match="'timm/none' on the hub has none of model.safetensors, .*pytorch_model.bin"
    ):
        from_hub("timm/none")
    with pytest.raises(DownloadError, match="404"):
        from_url(f"{server.url}/none.pth")


def test_cached_files_are_found_without_a_network(server, monkeypatch):
    server.add_to_hub("someone/old", CONTENT[::-1], "pytorch_model.bin")
    cached = [from_the_hub(server), from_an_address(server), from_hub("someone/old")]
    pretend_hub(monkeypatch, NO_SERVER)
    monkeypatch.setattr(server, "files", {})
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the attempts
    assert [from_the_hub(server), from_an_address(server), from_hub("someone/old")] == cached
    assert cached_from_hub("someone/old") == cached[2]
    assert cached_from_hub("timm/other") is None


def test_the_home_directory_may_be_a_link(server, home, monkeypatch):
    (home / "real").mkdir()
    (home / "link").symlink_to(home / "real")
    monkeypatch.setenv("KERAS_HOME", str(home / "link"))
    for download in (from_the_hub, from_an_address):
        with download(server).open("r+b") as file:
            file.write(b"bit rot")
        with pytest.raises(DownloadError, match="the next attempt downloads it again"):
            download(server)
        assert download(server).read_bytes() == CONTENT


def test_the_configuration_is_downloaded_with_the_weights(server):
    server.add_to_hub("timm/small", b"{}", "config.json")
    assert from_the_hub(server).with_name("config.json").read_bytes() == b"{}"


def test_a_configuration_that_cannot_be_asked_for_is_named(server, home, monkeypatch, recwarn):
    from_the_hub(server)
    from_the_hub(server)  # the hub has none, which is no reason to warn
    pretend_hub(monkeypatch, NO_SERVER)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the attempts
    from_the_hub(server)
    assert not recwarn.list
    for marker in home.rglob(".no_exist/*/preprocessor_config.json"):  # as after a download by an earlier version
        marker.unlink()
    with pytest.warns(UserWarning, match="preprocessor_config.json of 'timm/small' could not be downloaded.*refused"):
        from_the_hub(server)


def test_without_a_network_the_error_names_the_cause(home, monkeypatch):
    pretend_hub(monkeypatch, NO_SERVER)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the attempts
    with pytest.raises(
        HubUnreachableError, match="cannot be reached, and 'timm/small' was not downloaded before: .*refused"
    ):
        from_hub("timm/small")
    with pytest.raises(DownloadError, match=r"127.0.0.1:1/weights.pth: .*refused"):
        from_url(f"{NO_SERVER}/weights.pth")


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


def start_download(source, server, home, limit=0):
    """Starts a process that downloads a file and may write at most `limit` bytes to a file; 0 means no limit."""
    environment = {**os.environ, "HF_ENDPOINT": server.url, "KERAS_HOME": str(home)}
    command = [sys.executable, "-c", FETCH, source, server.url, str(limit)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


on_unix = pytest.mark.skipif(os.name == "nt", reason="limits and signals of Unix")


@on_unix
@pytest.mark.parametrize("source", ["hub", "address"])
def test_a_full_disk_is_named_in_the_error_and_no_incomplete_file_is_left(source, server, home):
    process = start_download(source, server, home, limit=1_000_000)
    printed, errors = process.communicate(timeout=900)
    assert "There is not enough disk space for" in printed, errors
    assert "KERAS_HOME chooses another directory" in printed
    assert not large_files(home)


@on_unix
@pytest.mark.parametrize(("source", "download"), [("hub", from_the_hub), ("address", from_an_address)])
def test_a_killed_download_is_never_used_as_a_complete_file(source, download, server, home):
    server.stalls = True
    process = start_download(source, server, home)
    assert server.stalled.wait(120)
    process.kill()
    process.communicate()
    server.stalls = False
    assert download(server).read_bytes() == CONTENT
    assert server.downloads() == [0, 0]
    assert not list((home / "keras_deit" / "official").glob(".weights.pth-*"))  # the killed process's file
