"""A folder that holds a folder of image files for each class."""

import os
import pathlib
import warnings

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
    assert train.name == "pets"
    assert train.notes == (f"Ignored files of {tmp_path / 'pets'}: 1 .txt.",)
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
    with pytest.raises(
        ValueError, match=r"one folder with images, 'train'\. The next level looks like.*holds cat, dog"
    ):
        data.load(tmp_path / "half")
    write_folder(tmp_path / "few", 1, cat=50, dog=100)
    with pytest.raises(ValueError, match="no image left for the train split of the classes cat, dog"):
        data.load(tmp_path / "few")


def test_a_folder_without_image_files_is_refused(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    with pytest.raises(
        ValueError,
        match=r"at least two classes.*no folder with images, and folders without images: cat, "
        "whose files are no images: 1 .txt",
    ):
        data.load(tmp_path)


def test_images_right_under_the_training_folder_are_unlabelled(tmp_path):
    write_folder(tmp_path, 6, train=0)
    write_folder(tmp_path / "val", 2, a=100, b=150)
    train = data.load(tmp_path, "train")
    assert (train.labels.tolist(), train.class_names) == ([-1] * 6, ("a", "b"))
    assert data.load(tmp_path, "test").labels.tolist() == [0, 0, 1, 1]


def test_splits_are_described(tmp_path):
    write_folder(tmp_path / "Training", 6, a=0, b=50)
    write_folder(tmp_path / "Testing", 2, a=100, b=150)
    write_folder(tmp_path / "val", 2, a=100, b=150)
    train, test = data.load(tmp_path), data.load(tmp_path, "test", test_split="test")
    assert (train.class_names, train.origin, test.origin) == (("a", "b"), "Training/", "Testing/")
    assert (len(train), len(test)) == (12, 4)
    assert train.notes[0].startswith(
        f"Folders of {tmp_path} that are not used: Testing/. With --test-split test, Testing/ replaces val/."
    )
    assert test.notes[0].startswith(
        f"Folders of {tmp_path} that are not used: val/. With --test-split val, val/ replaces Testing/."
    )


@pytest.mark.parametrize("names", [("bus", "car", "train"), ("bus", "train", "test")])
def test_a_class_may_have_the_name_of_a_split(names, tmp_path):
    write_folder(tmp_path, 5, **dict.fromkeys(names, 0))
    assert data.load(tmp_path).class_names == tuple(sorted(names))
    assert len(data.load(tmp_path)) == 12


def test_fewer_than_two_classes_are_refused_and_what_was_found_is_named(tmp_path):
    write_folder(tmp_path / "o" / "dataset", 3, a=0, b=50)
    with pytest.raises(
        ValueError, match=r"one folder with images, 'dataset'.*next level.*holds a, b\. Pass that folder"
    ):
        data.load(tmp_path / "o")
    write_folder(tmp_path / "one", 3, a=0)
    with pytest.raises(ValueError, match=r"at least two classes.*one folder with images, 'a'\.$"):
        data.load(tmp_path / "one")
    (tmp_path / "flat").mkdir()
    (tmp_path / "o" / "dataset" / "a" / "00.png").rename(tmp_path / "flat" / "1.png")
    with pytest.raises(ValueError, match="no folder with images, and images that are in no folder"):
        data.load(tmp_path / "flat")
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match=r"no folder with images\.$"):
        data.load(tmp_path / "none")


def test_folders_without_images_are_no_classes_and_that_is_said(tmp_path):
    write_folder(tmp_path, 5, b=0, c=50)
    for name in ("a", "__MACOSX/b", "b/.ipynb_checkpoints"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("__MACOSX/b/._1.png", "b/.ipynb_checkpoints/1-checkpoint.png"):
        (tmp_path / name).write_bytes((tmp_path / "b" / "00.png").read_bytes())
    with pytest.warns(UserWarning, match=r"Folders of .* without images are no classes: a\.") as warned:
        train = data.load(tmp_path)
    assert warned[0].filename == __file__
    assert (train.class_names, train.labels.tolist()) == (("b", "c"), [0] * 4 + [1] * 4)


def test_a_class_folder_that_cannot_be_read_is_an_error_that_names_the_folder(tmp_path, monkeypatch):
    write_folder(tmp_path, 5, cat=0, dog=50)
    scandir = os.scandir

    def refuse(folder):  # permissions have no effect on the administrator
        if pathlib.Path(folder).name == "dog":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    for split in ("train", "test"):
        with pytest.raises(
            ValueError, match="The folder '.*dog' cannot be read: Permission denied. Change its permissions"
        ):
            data.load(tmp_path, split)


def test_every_class_has_training_images(tmp_path):
    write_folder(tmp_path / "divided", 5, a=0, b=50)
    write_folder(tmp_path / "divided", 1, c=100)
    write_folder(tmp_path / "splits" / "train", 2, a=0, b=50)
    write_folder(tmp_path / "splits" / "test", 2, a=0, b=50, c=100)
    (tmp_path / "splits" / "train" / "c").mkdir()
    for split in ("train", "test"):
        with pytest.raises(ValueError, match="no image left for the train split of the classes c"):
            data.load(tmp_path / "divided", split)
        with pytest.raises(ValueError, match=r"The classes c of .* have images in '.*test', and none in '.*train'"):
            data.load(tmp_path / "splits", split)


def test_classes_with_the_names_of_numbers_are_in_the_order_of_the_numbers(tmp_path):
    write_folder(tmp_path, 2, **{str(number): number for number in range(1, 13)})
    train = data.load(tmp_path)
    assert train.class_names == tuple(map(str, range(1, 13)))
    assert [path.split("/")[-2] for path in train.paths] == [train.class_names[label] for label in train.labels]
    assert train.notes[0].endswith("in the order of the numbers: label 0 is class 1, label 11 is class 12.")


def test_files_of_unknown_endings_and_linked_folders_are_read(tmp_path):
    write_folder(tmp_path / "pets", 2, cat=0, dog=50)
    write_folder(tmp_path, 3, more=100)
    (tmp_path / "pets" / "cat" / "linked").symlink_to(tmp_path / "more")
    (tmp_path / "more" / "00.png").rename(tmp_path / "more" / "00")
    assert len(data.load(tmp_path / "pets")) + len(data.load(tmp_path / "pets", "test")) == 7


def test_images_beside_the_folders_of_the_classes_are_counted(tmp_path):
    write_folder(tmp_path, 2, cat=0, dog=50)
    (tmp_path / "1.png").write_bytes((tmp_path / "cat" / "00.png").read_bytes())
    assert data.load(tmp_path).notes == (f"Ignored files of {tmp_path}: 1 outside the folders of the classes.",)


@pytest.mark.parametrize("inner", [("cat", "dog"), ("test", "train")])
def test_class_folders_that_hold_folders_and_no_files_are_warned_of(inner, tmp_path):
    for outer, names in (("2023", inner), ("2024", inner[:1])):
        write_folder(tmp_path / outer, 3, **dict.fromkeys(names, 0))
    with pytest.warns(UserWarning, match=f"only folders: 2023/ holds {', '.join(inner)}, whose images all belong to"):
        assert data.load(tmp_path).class_names == ("2023", "2024")


def test_class_folders_may_hold_images_and_folders(tmp_path):
    write_folder(tmp_path / "cat", 3, left=0, right=10)
    write_folder(tmp_path, 3, dog=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(data.load(tmp_path)) == 6  # four cats and two dogs


def test_a_named_folder_is_the_origin_of_both_splits(tmp_path):
    write_folder(tmp_path / "one" / "two", 3, a=0, b=50)
    train, test = (data.load(tmp_path, split, train_folder="one/two") for split in ("train", "test"))
    assert (train.origin, test.origin, len(train), len(test)) == ("one/two/", "one/two/", 4, 2)


def test_class_names_may_have_another_unicode_form_than_the_folders(tmp_path):
    apart, joined = {"cafe\u0301": 0, "tea": 50}, {"caf\u00e9": 100}
    write_folder(tmp_path, 2, **apart)
    names = ("tea", "caf\u00e9")
    assert data.load(tmp_path, class_names=names).class_names == names
    assert data.load(tmp_path, class_names=names).labels.tolist() == [1, 0]
    write_folder(tmp_path, 2, **joined)
    with pytest.warns(UserWarning, match="Unicode form"):
        assert sorted(data.load(tmp_path).labels.tolist()) == [0, 1, 2]  # each folder stays a class


def test_files_that_are_no_images_are_named_where_there_is_no_image(tmp_path):
    for path in ("cat/1.heic", "cat/2.heic", "dog/1.dcm"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"no image")
    with pytest.raises(
        ValueError, match="folders without images: cat, dog, whose files are no images: 2 .heic, 1 .dcm"
    ):
        data.load(tmp_path)
