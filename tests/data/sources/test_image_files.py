"""Labelled image files."""

import numpy as np
import pytest

from keras_deit.data import ImageFiles

pytestmark = pytest.mark.backend_independent
CLASSES = ("cat", "dog")


def files_in(folder, **contents):
    """A dataset of files in a folder of one class."""
    (folder / "cat").mkdir(parents=True)
    paths = [folder / "cat" / f"{name}.jpg" for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        path.write_bytes(content)
    return ImageFiles("pets", tuple(map(str, paths)), np.arange(len(paths)) % 3 - 1, CLASSES)


def test_an_example_is_the_content_of_its_file(tmp_path):
    data = files_in(tmp_path, one=b"first", two=b"second", three=b"third")
    assert list(data) == [(b"first", -1), (b"second", 0), (b"third", 1)]
    assert (data.in_memory, data.image_size, data.num_classes) == (False, None, 2)
    assert data.describe(1) == str(tmp_path / "cat" / "two.jpg")
    assert data.resized(8) is data


def test_selected_files_keep_their_order(tmp_path):
    data = files_in(tmp_path, one=b"first", two=b"second", three=b"third")
    selected = data.select([2, 0])
    assert (selected.paths, selected.labels.tolist()) == ((data.paths[2], data.paths[0]), [1, -1])
    assert len(data.select([])) == 0


@pytest.mark.parametrize("label", [2, -2])
def test_labels_out_of_range_are_refused(label):
    with pytest.raises(ValueError, match=f"labels of 'pets' must be from 0 to 1 .* or -1 .* Received: {label}"):
        ImageFiles("pets", ("a.jpg", "b.jpg"), np.array([0, label]), CLASSES)


def test_the_digest_changes_with_the_files_and_not_with_the_folder_of_the_dataset(tmp_path):
    original = files_in(tmp_path / "here", one=b"first", two=b"second").content_digest()
    assert files_in(tmp_path / "elsewhere" / "deep", one=b"first", two=b"second").content_digest() == original
    renamed = files_in(tmp_path / "renamed", one=b"first", other=b"second")
    resized = files_in(tmp_path / "resized", one=b"first", two=b"another size")
    fewer = files_in(tmp_path / "fewer", one=b"first")
    assert len({original, *(data.content_digest() for data in (renamed, resized, fewer))}) == 4
