"""An export replaces its destination at once or not at all."""

import os

import pytest

from keras_deit.export.destination import destination, destinations


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


def fail_at_move_to(path, monkeypatch):
    """Makes the move of the new file or directory to a path fail."""
    replace = os.replace

    def failing(source, target):
        if target == path and not str(source).endswith(".old"):
            raise PermissionError("no")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)


def test_a_link_to_a_directory_is_kept_and_its_target_is_replaced(tmp_path):
    write_directory(tmp_path / "v1", "old")
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "current"
    link.symlink_to(tmp_path / "v1", target_is_directory=True)
    write_directory(link, "new", overwrite=True, marker="marker")
    assert link.is_symlink()
    assert (tmp_path / "v1" / "marker").read_text() == (link / "marker").read_text() == "new"
    assert sorted(found.name for found in tmp_path.rglob("*")) == ["current", "links", "marker", "v1"]


def test_a_directory_that_cannot_be_replaced_is_kept(tmp_path, monkeypatch):
    write_directory(tmp_path / "model", "old")
    fail_at_move_to(tmp_path / "model", monkeypatch)
    with pytest.raises(PermissionError):
        write_directory(tmp_path / "model", overwrite=True, marker="marker")
    assert (tmp_path / "model" / "marker").read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["model"]


def write_two(directory, text):
    with destinations([directory / "graph", directory / "weights"], overwrite=True) as (graph, weights):
        graph.write_text(text)
        weights.write_text(text)


def contents(directory):
    return {path.name: path.read_text() for path in directory.iterdir()}


@pytest.mark.parametrize("failing", ["graph", "weights"])
@pytest.mark.parametrize(
    "old", [{"graph": "old", "weights": "old"}, {"weights": "old"}, {}], ids=["two", "one", "none"]
)
def test_two_files_are_replaced_or_none(tmp_path, failing, old, monkeypatch):
    for name, text in old.items():
        (tmp_path / name).write_text(text)
    with monkeypatch.context() as patch:
        fail_at_move_to(tmp_path / failing, patch)
        with pytest.raises(PermissionError):
            write_two(tmp_path, "new")
    assert contents(tmp_path) == old
    write_two(tmp_path, "new")
    assert contents(tmp_path) == {"graph": "new", "weights": "new"}
