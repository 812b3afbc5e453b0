"""Atomic writing of files."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_deit.runtime import files
from keras_deit.runtime.files import (
    ABANDONED_SECONDS,
    DiskFullError,
    cache_directory,
    is_running,
    remove_abandoned,
    replacing,
    user_path,
    write_json,
    write_whole,
)


def test_text_is_written_into_new_folders(tmp_path):
    write_whole(tmp_path / "a" / "b.txt", "grüß")
    assert (tmp_path / "a" / "b.txt").read_text(encoding="utf-8") == "grüß"


def test_numbers_that_json_lacks_are_null(tmp_path):
    values = {"a": [math.nan, -math.inf, 1.5], "b": (True, None, {"ß": np.float64("nan")})}
    write_json(tmp_path / "a.json", values)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"a": [None, None, 1.5], "b": [True, None, {"ß": None}]}
    assert "ß" in text


def test_a_tilde_is_the_home_directory(user_home):
    write_whole("~/runs/note.txt", "here")
    assert user_path("~/runs/note.txt") == user_home / "runs" / "note.txt"
    assert user_path("~/runs/note.txt").read_text() == "here"


def test_an_error_leaves_the_former_content_and_no_other_file(tmp_path):
    path = tmp_path / "weights.h5"
    path.write_text("former")

    def write_half():
        with replacing(path) as temporary:
            assert temporary.suffix == ".h5"
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def size_limit():
    """Limits the size of files of this process to 100 kB, which has the effect of a full disk."""
    resource = pytest.importorskip("resource", reason="a limit of POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("num_bytes", [200_000, None])
def test_a_full_disk_is_an_error_with_the_sizes_and_keeps_the_former_content(tmp_path, size_limit, num_bytes):
    path, has_begun = tmp_path / "weights.h5", []
    path.write_text("former")

    def write():
        with replacing(path, num_bytes) as temporary:
            has_begun.append(True)
            temporary.write_bytes(bytes(200_000))

    needed = "195.3 KiB" if num_bytes else "more space"
    with pytest.raises(
        DiskFullError, match=f"weights.h5' cannot be written: it needs {needed}, .* are free on its disk"
    ):
        write()
    assert bool(has_begun) == (num_bytes is None)  # a library that does not survive it must not begin
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows lets only administrators create symbolic links")
@pytest.mark.parametrize("target", ["v1.txt", "new/v2"])
def test_a_symbolic_link_is_kept_and_its_target_is_written(tmp_path, target):
    (tmp_path / "v1.txt").write_text("former")
    link = tmp_path / "current.txt"
    link.symlink_to(target)
    with replacing(link) as temporary:
        assert temporary.name == "current.txt"
        temporary.write_text("whole")
    assert link.is_symlink()
    assert (tmp_path / target).read_text() == "whole"


def test_cached_files_are_kept_under_keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert cache_directory("teachers") == tmp_path / "keras_deit" / "teachers"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no harmless way to ask for a process")
def test_the_next_write_removes_what_a_killed_process_left(tmp_path):
    code = (
        "import sys, time; from keras_deit.runtime.files import replacing\n"
        "with replacing(sys.argv[1]) as path:\n    path.touch(); print('writing', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "student.keras")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    (folder,) = tmp_path.iterdir()
    write_whole(tmp_path / "student.keras", "whole")
    assert folder.exists()  # the process is alive
    process.send_signal(signal.SIGKILL)
    process.wait()
    write_whole(tmp_path / "other.keras", "another file")
    assert folder.exists()
    shutil.copytree(folder, tmp_path / "copy" / folder.name)
    write_whole(tmp_path / "student.keras", "whole")
    remove_abandoned(tmp_path / "copy")  # of any file
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "other.keras", "student.keras"]
    assert not list((tmp_path / "copy").iterdir())


@pytest.mark.parametrize("fact", ["node", "read_text", "readlink"])
def test_machines_and_containers_number_their_processes(fact, monkeypatch):
    here = files._numbering()
    owner = {"node": files.platform, "read_text": files.pathlib.Path, "readlink": files.os}[fact]
    monkeypatch.setattr(owner, fact, lambda *_: "another")
    files._numbering.cache_clear()
    elsewhere = files._numbering()
    files._numbering.cache_clear()
    assert (elsewhere != here) == (fact == "node" or sys.platform == "linux")


def test_the_folder_of_another_machine_is_removed_after_a_day(tmp_path):
    theirs = tmp_path / ".a.txt-elsewhere-xyz-12"
    theirs.mkdir()
    write_whole(tmp_path / "a.txt", "")
    assert theirs.exists()
    old = time.time() - ABANDONED_SECONDS - 60
    os.utime(theirs, (old, old))
    write_whole(tmp_path / "a.txt", "")
    assert not theirs.exists()


def test_other_folders_that_begin_with_the_name_are_kept(tmp_path):
    for name in (".a.txt-notes", ".a.txt-x-y-z", "a.txt-x-y-12"):
        (tmp_path / name).mkdir()
    write_whole(tmp_path / "a.txt", "")
    assert len(list(tmp_path.iterdir())) == 4


def test_this_process_is_running():
    assert is_running(os.getpid())
