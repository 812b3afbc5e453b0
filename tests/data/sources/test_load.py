"""Datasets by name."""

import numpy as np
import pytest

from keras_deit import data
from tests.data.images import noise

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("digits", "dev", "`split` must be one of"),
        ("no/such/folder", "train", "There is no dataset at 'no/such/folder'"),
        ("table.csv", "train", "cannot be read: No such file"),
        ("arrays.npz", "train", "cannot be read as arrays: .*No such file"),
    ],
)
def test_unknown_names_are_refused_with_the_possible_ones(name, split, message):
    with pytest.raises(ValueError, match=message):
        data.load(name, split)


def test_the_kind_of_the_dataset_follows_from_its_name(tmp_path):
    (tmp_path / "a.csv").write_text("path,label\n1.jpg,x\n2.jpg,x\n")
    np.savez(tmp_path / "a.npz", x_train=noise(2, 4, 4), y_train=np.zeros(2, int))
    assert isinstance(data.load(tmp_path / "a.csv"), data.ImageFiles)
    assert isinstance(data.load(str(tmp_path / "a.npz")), data.ImageData)


def test_the_classes_of_arrays_may_be_named_and_those_of_digits_may_not(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=noise(4, 4, 4), y_train=np.array([0, 1, 0, 1]))
    assert data.load(tmp_path / "a.npz", class_names=["cat", "dog"]).class_names == ("cat", "dog")
    pytest.importorskip("sklearn.datasets", reason="scikit-learn ships the digits")
    with pytest.raises(ValueError, match="The classes of 'digits' are 0, 1, .* Received: class_names=cat, dog"):
        data.load("digits", class_names=["cat", "dog"])
