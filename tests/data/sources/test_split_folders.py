"""Which folders are splits, and which are classes."""

import pytest

from keras_deit.data.sources.split_folders import find_split_folders
from tests.data.images import write_folder

pytest.importorskip("PIL.Image", reason="Pillow writes the image files")
pytestmark = pytest.mark.backend_independent


def write(root, *folders):
    for folder in folders:
        write_folder(root, 2, **{folder: 0})


def found(root, *folders, **options):
    """Writes images into folders; returns the names of the folders of the splits and of the unused folders."""
    write(root, *folders)
    splits = find_split_folders(root, **options)
    return (
        splits.train.relative_to(root).as_posix(),
        splits.test and splits.test.relative_to(root).as_posix(),
        *(folder.name for folder in splits.unused),
    )


@pytest.mark.parametrize(
    "names",
    [
        ("Training", "Testing"),
        ("TRAIN", "TEST"),
        ("Train", "Val"),
        ("x_train", "x_test"),
        ("seg_train", "seg_test"),
        ("train2017", "val2017"),
        ("train", "validation"),
        ("TrainingSet", "test_set"),
    ],
)
def test_splits_are_recognised_whatever_case_and_affix(names, tmp_path):
    assert found(tmp_path, *(f"{name}/{label}" for name in names for label in "ab")) == names


@pytest.mark.parametrize(
    "folders",
    [
        ["bus", "car", "train"],
        ["bus", "train", "test"],
        ["bus/red", "bus/blue", "train/freight", "train/fast", "test/tube", "test/paper"],
        ["bus/red", "bus/blue", "train/freight", "train/fast"],
        ["test", "exam"],
        ["a", "b"],
    ],
)
def test_folders_named_as_splits_that_hold_no_common_classes_are_classes(folders, tmp_path):
    assert found(tmp_path, *folders) == (".", None)


def test_a_split_may_lack_some_classes(tmp_path):
    assert found(tmp_path, *["train/a", "train/b", "train/c", "train/d", "val/a", "val/b", "val/e"]) == ("train", "val")


def test_of_train_val_and_test_the_test_folder_is_not_used_unless_it_is_chosen(tmp_path):
    folders = [f"{split}/{label}" for split in ("train", "val", "test") for label in "ab"]
    assert found(tmp_path, *folders, "masks") == ("train", "val", "masks", "test")
    assert found(tmp_path, test_split="test") == ("train", "test", "masks", "val")
    assert found(tmp_path, test_split="val") == ("train", "val", "masks", "test")


def test_a_test_folder_without_classes_is_not_chosen_beside_one_with_classes(tmp_path):
    folders = [f"{split}/{label}" for split in ("train", "test") for label in "ab"]
    assert found(tmp_path, *folders, "val") == ("train", "test", "val")


def test_a_folder_that_is_alone_in_one_of_the_same_name_is_the_split(tmp_path):
    folders = [f"{split}/{split}/{label}" for split in ("seg_train", "seg_test") for label in "ab"]
    splits = ("seg_train/seg_train", "seg_test/seg_test")
    assert found(tmp_path, *folders, "seg_pred/seg_pred") == (*splits, "seg_pred")


def test_images_right_under_the_training_folder_are_unlabelled(tmp_path):
    assert found(tmp_path, "train", "val/a", "val/b") == ("train", "val")


@pytest.mark.parametrize(
    ("folders", "reason"),
    [
        (["train", "test"], "train/ holds no folders, test/ holds no folders"),
        (["train/a", "train/b", "test"], "train/ holds the folders a, b, test/ holds no folders"),
        (["train/a", "train/b", "test/unknown"], "test/ holds the folders unknown"),
        (["train/a", "train/b", "extra"], "train/ holds folders, and extra/ do not"),
        (
            ["train/a", "train/b", "x_train/a", "x_train/b", "val/a", "val/b"],
            "train/, x_train/ may each be the train split",
        ),
        (
            [f"{a}/{b}" for a in ("bus", "train", "test") for b in ("2019", "2020")],
            "bus/ holds 2019, 2020 as well as train/",
        ),
        (["train", "bus", "val/a", "val/b"], "train/ holds no folders, val/ holds the folders a, b"),
    ],
)
def test_what_is_not_clear_is_refused_with_the_way_out(folders, reason, tmp_path):
    with pytest.raises(ValueError, match=rf"not clear which.*{reason}.*--train-folder and --test-folder"):
        found(tmp_path, *folders)


def test_folders_may_be_named(tmp_path):
    folders = [f"{split}/{label}" for split in ("train", "one/two", "test") for label in "ab"]
    assert found(tmp_path, *folders, train_folder="one/two", test_folder="test") == ("one/two", "test")
    assert found(tmp_path, train_folder="one/two") == ("one/two", None)
    assert found(tmp_path, train_folder=".") == (".", None)
    assert found(tmp_path, test_folder="one/two") == ("train", "one/two")


def test_named_folders_must_exist(tmp_path):
    write(tmp_path, "a", "b")
    with pytest.raises(ValueError, match="`test_folder` must be a folder below.*has a, b. Received: test_folder='c'"):
        find_split_folders(tmp_path, train_folder="a", test_folder="c")
    with pytest.raises(ValueError, match="Which folder .* is the training split"):
        find_split_folders(tmp_path, test_folder="b")
    write(tmp_path / "c", "train/a", "test/a")
    with pytest.raises(ValueError, match="no val split: a folder named val or valid or validation"):
        find_split_folders(tmp_path / "c", test_split="val")
