"""An export replaces its destination at once or not at all."""

import pytest

from keras_deit.export.destination import destination


def write(path, text="new", error=None, **arguments):
    with destination(path, **arguments) as temporary:
        temporary.write_text(text)
        if error:
            raise error


def write_directory(path, text="new", error=None, **arguments):
    with destination(path, **arguments) as temporary:
        temporary.mkdir()
        (temporary / "marker").write_text(text)
        if error:
            raise error


def test_missing_parents_are_created_and_temporary_files_are_deleted(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    write(path)
    assert path.read_text() == "new"
    assert [found.name for found in path.parent.iterdir()] == ["file"]


def test_a_tilde_is_the_home_directory(user_home):
    write("~/file")
    assert (user_home / "file").read_text() == "new"
    with pytest.raises(FileExistsError, match="file already exists"):
        write("~/file")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interruption_leaves_no_file(tmp_path, error):
    with pytest.raises(error):
        write(tmp_path / "file", error=error)
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_refused_before_the_block_runs(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(FileExistsError, match="overwrite=True"), destination(tmp_path / "file"):
        pytest.fail("the block should not run")
    assert (tmp_path / "file").read_text() == "old"


def test_overwrite_replaces_a_file(tmp_path):
    write(tmp_path / "file", "old")
    write(tmp_path / "file", "new", overwrite=True)
    assert (tmp_path / "file").read_text() == "new"


def test_overwrite_keeps_the_old_directory_until_the_new_one_is_complete(tmp_path):
    write_directory(tmp_path / "model", "old")
    with pytest.raises(RuntimeError):
        write_directory(tmp_path / "model", error=RuntimeError, overwrite=True, marker="marker")
    assert (tmp_path / "model" / "marker").read_text() == "old"
    write_directory(tmp_path / "model", "new", overwrite=True, marker="marker")
    assert (tmp_path / "model" / "marker").read_text() == "new"
    assert [found.name for found in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("marker", [None, "saved_model.pb"])
def test_overwrite_never_replaces_a_directory_of_another_kind(tmp_path, marker):
    write_directory(tmp_path / "home", "precious")
    with pytest.raises(FileExistsError, match="something else"):
        write_directory(tmp_path / "home", overwrite=True, marker=marker)
    assert (tmp_path / "home" / "marker").read_text() == "precious"


def test_overwrite_never_replaces_a_file_with_a_directory(tmp_path):
    write(tmp_path / "model", "precious")
    with pytest.raises(FileExistsError, match="something else"):
        write_directory(tmp_path / "model", overwrite=True, marker="marker")
    assert (tmp_path / "model").read_text() == "precious"
