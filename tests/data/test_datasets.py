"""Datasets by name."""

import numpy as np
import pytest

from keras_deit import data

datasets = pytest.importorskip("sklearn.datasets", reason="the digits come from scikit-learn")


def test_the_split_is_fixed_disjoint_and_whole():
    train, test = data.load("digits", "train"), data.load("digits", "test")
    assert (len(train.labels), len(test.labels)) == (1433, 364)
    digits = datasets.load_digits()
    everything = np.concatenate([train.images, test.images])[..., 0].astype("float64")
    shipped = np.round(digits.images * 255 / 16)
    assert sorted(map(bytes, everything.astype("uint8"))) == sorted(map(bytes, shipped.astype("uint8")))
    np.testing.assert_array_equal(test.labels[:3], digits.target[:3])
    assert set(np.bincount(test.labels)) == {35, 36, 37}  # every class is there alike


def test_images_are_rgb_bytes_with_a_label_each():
    train = data.load("digits", "train")
    assert train.images.shape == (1433, 8, 8, 3)
    assert train.images.dtype == np.uint8
    assert train.images.max() == 255
    np.testing.assert_array_equal(train.images[..., 0], train.images[..., 2])
    assert train.class_names == tuple("0123456789")
    assert train.num_classes == 10


def test_resizing_keeps_the_mean_and_the_range():
    test = data.load("digits", "test")
    larger = test.resized(16)
    assert larger.images.shape == (364, 16, 16, 3)
    assert larger.images.dtype == np.uint8
    np.testing.assert_allclose(larger.images.mean(), test.images.mean(), atol=1.0)
    assert test.resized(8) is test


@pytest.mark.parametrize(
    ("name", "split", "message"), [("digit", "train", "Did you mean 'digits'"), ("digits", "dev", "one of")]
)
def test_unknown_names_say_what_there_is(name, split, message):
    with pytest.raises(ValueError, match=message):
        data.load(name, split)
