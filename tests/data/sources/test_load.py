"""Datasets by name."""

import pathlib
import re
import sys
import warnings

import numpy as np
import pytest

from keras_deit import data
from tests.data.images import noise, write_folder

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("digits", "dev", "`split` must be one of"),
        ("", "train", "must be the name or path of a dataset; '.' is the current folder. Received: name=''"),
        ("no/such/folder", "train", "There is no dataset at 'no/such/folder'"),
        ("table.csv", "train", "cannot be read: No such file"),
        ("arrays.npz", "train", "cannot be read as arrays: .*No such file"),
    ],
)
def test_unknown_names_are_refused_with_the_possible_ones(name, split, message):
    with pytest.raises(ValueError, match=message):
        data.load(name, split)


@pytest.mark.parametrize("name", ["cloths", "data/cloths"])
def test_a_misspelt_folder_is_said_before_a_package_is_asked_for(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # as if it were not installed
    monkeypatch.chdir(tmp_path)
    pathlib.Path(name).parent.mkdir(exist_ok=True)
    with pytest.raises(ImportError) as without_similar:
        data.load(name)
    pathlib.Path(name).with_name("clothes").mkdir()
    with pytest.raises(ImportError) as with_similar:
        data.load(name)
    needs = "A dataset of TFDS of this name needs `tensorflow_datasets`, which is not installed. Install it with: pip"
    meant = str(pathlib.Path(name).with_name("clothes"))
    assert str(without_similar.value).startswith(f"There is no folder or file {name!r}. {needs}")
    assert str(with_similar.value).startswith(f"There is no folder or file {name!r}. Did you mean {meant!r}? {needs}")


@pytest.mark.parametrize("name", ["pets.csv", "pets.npz", "all my pets/dog"])
def test_a_misspelt_path_is_refused_with_a_similar_one(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    similar = pathlib.Path(name).with_name(f"the_{pathlib.Path(name).name}")
    similar.parent.mkdir(exist_ok=True)
    similar.touch()
    with pytest.raises(ValueError, match=re.escape(f"Did you mean {str(similar)!r}?")):
        data.load(name)


def test_the_kind_of_the_dataset_follows_from_its_name(tmp_path):
    (tmp_path / "a.csv").write_text("path,label,split\n1.jpg,x,train\n1.jpg,y,test\n")
    (tmp_path / "1.jpg").touch()
    np.savez(tmp_path / "a.npz", x_train=noise(4, 4, 4), y_train=np.arange(4) % 2)
    assert isinstance(data.load(tmp_path / "a.csv"), data.ImageFiles)
    assert isinstance(data.load(str(tmp_path / "a.npz")), data.ImageData)


def test_the_classes_of_arrays_may_be_named_and_those_of_digits_may_not(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=noise(4, 4, 4), y_train=np.array([0, 1, 0, 1]))
    assert data.load(tmp_path / "a.npz", class_names=["cat", "dog"]).class_names == ("cat", "dog")
    pytest.importorskip("sklearn.datasets", reason="scikit-learn ships the digits")
    with pytest.raises(ValueError, match="The classes of 'digits' are 0, 1, .* Received: class_names=cat, dog"):
        data.load("digits", class_names=["cat", "dog"])


@pytest.mark.parametrize("name", ["images.zip", "images"])
def test_files_of_other_kinds_are_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(ValueError, match=f"has the extension .csv, .tsv or .npz. Received: '.*{name}'. Unpack"):
        data.load(tmp_path / name)


def test_fewer_than_two_classes_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=noise(4, 4, 4), y_train=np.zeros(4, int))
    with pytest.raises(ValueError, match="needs at least two classes. 'a.npz' has 0. Add images of another class"):
        data.load(tmp_path / "a.npz")


def test_a_folder_called_digits_is_not_the_built_in_dataset_and_that_is_said(tmp_path, monkeypatch):
    pytest.importorskip("sklearn.datasets", reason="scikit-learn ships the digits")
    write_folder(tmp_path / "digits", 5, cat=50, dog=100)
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="The folder of that name is './digits'"):
        assert len(data.load("digits")) == 1433
    assert data.load("./digits").class_names == data.load(pathlib.Path("digits")).class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_split": "dev"}, "`test_split` must be one of"),
        ({"test_split": "val", "test_folder": "a"}, "None if `test_folder` is given"),
        ({"test_split": "test"}, "'digits' has no splits to choose from"),
        ({"train_folder": "a"}, "are for a folder. Received: 'digits'"),
    ],
)
def test_options_of_splits_are_refused_where_they_mean_nothing(options, message):
    with pytest.raises(ValueError, match=message):
        data.load("digits", **options)


def test_a_folder_called_like_a_dataset_of_tfds_is_taken_and_that_is_said(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_datasets", reason="TFDS has the names")
    for name in ("cifar10", "pets"):
        write_folder(tmp_path / name, 5, cat=50, dog=100)
    monkeypatch.chdir(tmp_path)
    with pytest.warns(
        UserWarning, match="'cifar10' is taken as the folder './cifar10', and not as the dataset of TFDS"
    ):
        assert data.load("cifar10").class_names == ("cat", "dog")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("./cifar10", "pets"):
            data.load(name)
