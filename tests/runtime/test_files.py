"""Atomic writing of files."""

import pytest

from keras_deit.runtime.files import cache_directory, replacing, write_whole


def test_text_is_written_into_new_folders(tmp_path):
    write_whole(tmp_path / "a" / "b.txt", "grüß")
    assert (tmp_path / "a" / "b.txt").read_text(encoding="utf-8") == "grüß"


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


def test_cached_files_are_kept_under_keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert cache_directory("teachers") == tmp_path / "keras_deit" / "teachers"
