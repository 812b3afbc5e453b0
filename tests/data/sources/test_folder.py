"""A folder that holds a folder of image files for each class."""

import pytest

from keras_deit import data
from tests.data.images import write_folder

pytest.importorskip("PIL.Image", reason="Pillow writes the image files")
pytestmark = pytest.mark.backend_independent


def test_a_folder_of_class_folders_is_always_divided_in_the_same_way(tmp_path):
    write_folder(tmp_path / "pets", 10, dog=10, cat=100)
    (tmp_path / "pets" / "dog" / "notes.txt").write_text("not an image")
    train, test = data.load(tmp_path / "pets"), data.load(tmp_path / "pets", "test")
    assert (len(train), len(test), train.class_names) == (16, 4, ("cat", "dog"))
    assert [path[-10:] for path in test.paths] == ["cat/00.png", "cat/05.png", "dog/00.png", "dog/05.png"]
    assert not set(train.paths) & set(test.paths)
    assert test.labels.tolist() == [0, 0, 1, 1]
    assert (train.num_ignored, train.name) == (1, "pets")
    content, label = train[0]
    assert content.startswith(b"\x89PNG")
    assert label == 0


def test_a_folder_with_splits_is_not_divided_again(tmp_path):
    write_folder(tmp_path / "train", 6, a=0, b=50)
    write_folder(tmp_path / "val", 2, a=100, b=150)
    assert [len(data.load(tmp_path, split)) for split in ("train", "test")] == [12, 4]


def test_both_splits_have_the_classes_of_the_training_split(tmp_path):
    write_folder(tmp_path / "train", 2, bird=0, cat=50, dog=100)
    write_folder(tmp_path / "val", 2, cat=100, dog=150)
    assert data.load(tmp_path, "test").class_names == ("bird", "cat", "dog")
    assert data.load(tmp_path, "test").labels.tolist() == [1, 1, 2, 2]
    write_folder(tmp_path / "val", 1, eel=10)
    with pytest.raises(ValueError, match="class 'eel', which is not among bird, cat, dog"):
        data.load(tmp_path, "test")


def test_a_folder_with_one_split_or_too_few_images_is_refused(tmp_path):
    write_folder(tmp_path / "half" / "train", 2, cat=50, dog=100)
    with pytest.raises(ValueError, match="no test split: a folder named val, valid, validation, test"):
        data.load(tmp_path / "half")
    write_folder(tmp_path / "few", 1, cat=50, dog=100)
    with pytest.raises(ValueError, match="no image left for the train split: a class needs at least two"):
        data.load(tmp_path / "few")


def test_a_folder_without_image_files_is_refused(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    with pytest.raises(ValueError, match=r"holds no image files in class folders.*Known extensions: .jpg"):
        data.load(tmp_path)


def test_images_right_under_the_training_folder_are_unlabelled(tmp_path):
    write_folder(tmp_path, 6, train=0)
    write_folder(tmp_path / "val", 2, a=100, b=150)
    train = data.load(tmp_path, "train")
    assert (train.labels.tolist(), train.class_names) == ([-1] * 6, ("a", "b"))
    assert data.load(tmp_path, "test").labels.tolist() == [0, 0, 1, 1]
