"""Equal images in both splits, or with several labels."""

import numpy as np
import pytest

from keras_deit.data import ImageData, ImageFiles, ImageRecords
from keras_deit.data.sources.equal_images import (
    describe_equal_images,
    find_equal_images,
    groups_of_keys,
    keys_of_groups,
)
from tests.data.images import noise

pytestmark = pytest.mark.backend_independent
CLASSES = ("cat", "dog")


def files(folder, contents, labels):
    """A dataset of files of given contents; each content is new if it is None."""
    folder.mkdir()
    paths = [folder / f"{index}.jpg" for index in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return ImageFiles("pets", tuple(map(str, paths)), np.array(labels), CLASSES)


@pytest.fixture
def splits(tmp_path):
    """Image 1 of train equals images 0 and 2 of test; image 2 equals image 3 and has another label; 4 and 5 are equal."""
    long = bytes(9000)
    return {
        "train": files(tmp_path / "train", [b"a", b"b", b"c", b"c", b"dd", b"dd", b"x" + long], [0, 0, 0, 1, 1, 1, 1]),
        "test": files(tmp_path / "test", [b"b", b"e", b"b", b"y" + long, b""], [0, 1, 0, 1, 1]),
    }


def test_equal_files_of_several_splits_or_labels_are_found(splits):
    assert find_equal_images(splits) == [
        [("train", 1), ("test", 0), ("test", 2)],
        [("train", 2), ("train", 3)],
    ]


def test_equal_files_are_described(splits, tmp_path):
    lines = describe_equal_images(find_equal_images(splits), splits)
    assert lines == [
        f"2 of the 5 test images equal training images, such as {tmp_path}/train/1.jpg (train, cat) and "
        f"{tmp_path}/test/0.jpg (test, cat). The accuracy on the test split will be too high. Remove the copies.",
        f"2 images equal images with another label, such as {tmp_path}/train/2.jpg (train, cat) and "
        f"{tmp_path}/train/3.jpg (train, dog). Correct the labels or remove the images.",
    ]
    assert describe_equal_images([], splits) == []


def test_groups_are_found_again_by_their_keys(splits):
    groups = find_equal_images(splits)
    keys = keys_of_groups(groups, splits)
    assert groups_of_keys(keys, splits) == groups
    assert groups_of_keys(keys, {**splits, "test": splits["test"].select([1])}) == groups[1:]


def test_one_path_with_two_labels_or_in_two_splits_is_found(tmp_path):
    data = files(tmp_path / "a", [b"a", b"b"], [0, 0])
    paths, labels = (data.paths[0], data.paths[0], data.paths[1]), np.array([0, 1, 0])
    train = ImageFiles("pets", paths, labels, CLASSES)
    assert find_equal_images({"train": train}) == [[("train", 0), ("train", 1)]]
    assert find_equal_images({"train": data, "test": data.select([1])}) == [[("train", 1), ("test", 0)]]


def test_files_that_differ_are_told_apart_without_being_read(tmp_path, monkeypatch):
    data = files(tmp_path / "a", [b"a" * 5000, b"b" * 5000, b"c"], [0, 1, 0])
    monkeypatch.setattr(ImageFiles, "__getitem__", None)
    assert find_equal_images({"train": data, "test": data.select([])}) == []


def test_a_file_that_is_gone_is_no_error(tmp_path):
    data = files(tmp_path / "a", [b"a", b"a"], [0, 1])
    (tmp_path / "a" / "0.jpg").unlink()
    assert find_equal_images({"train": data}) == []


def test_arrays_are_compared():
    images = noise(4, 5, 5, 3)
    train, test = (
        ImageData("x", images, np.arange(4) % 2, CLASSES),
        ImageData("x", images[2:], np.array([0, 1]), CLASSES),
    )
    assert find_equal_images({"train": train, "test": test}) == [
        [("train", 2), ("test", 0)],
        [("train", 3), ("test", 1)],
    ]


def test_records_are_compared_with_their_labels():
    images = noise(3, 5, 5, 3)
    train = ImageRecords("x", [(images[0], 0), (images[1], 0), (images[0], 1), (b"broken", 1), (images[2], 0)], CLASSES)
    test = ImageRecords("x", [(images[1], 0), (images[2].reshape(5, 15, 1), 1)], CLASSES)
    splits = {"train": train, "test": test}
    groups = [[("train", 0), ("train", 2)], [("train", 1), ("test", 0)]]
    assert find_equal_images(splits) == groups
    assert keys_of_groups(groups, splits) == [["train 0", "train 2"], ["train 1", "test 0"]]
    assert groups_of_keys(keys_of_groups(groups, splits), splits) == groups
    assert describe_equal_images(groups, splits) == [
        "1 of the 2 test images equal training images, such as image 1 of 'x' (train, cat) and image 0 of 'x' (test, cat). "
        "The accuracy on the test split will be too high. Remove the copies.",
        "2 images equal images with another label, such as image 0 of 'x' (train, cat) and image 2 of 'x' (train, dog). "
        "Correct the labels or remove the images.",
    ]


def test_unlabelled_copies_do_not_contradict(tmp_path):
    data = files(tmp_path / "a", [b"a", b"a"], [0, -1])
    assert find_equal_images({"train": data}) == []
