"""The digits of scikit-learn."""

import numpy as np
import pytest

from keras_deit import data

datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn ships the digits")
pytestmark = pytest.mark.backend_independent


def test_the_splits_are_fixed_and_disjoint_and_hold_every_digit():
    train, test = data.load("digits", "train"), data.load("digits", "test")
    assert (len(train.labels), len(test.labels)) == (1433, 364)
    digits = datasets.load_digits()
    all_pixels = np.concatenate([train.images, test.images])[..., 0].astype("float64")
    shipped = np.round(digits.images * 255 / 16)
    assert sorted(map(bytes, all_pixels.astype("uint8"))) == sorted(map(bytes, shipped.astype("uint8")))
    np.testing.assert_array_equal(test.labels[:3], digits.target[:3])
    assert set(np.bincount(test.labels)) == {35, 36, 37}  # all classes are about equally frequent


def test_images_are_rgb_pixels_and_each_has_a_label():
    train = data.load("digits", "train")
    assert train.images.shape == (1433, 8, 8, 3)
    assert train.images.dtype == np.uint8
    assert train.images.max() == 255
    np.testing.assert_array_equal(train.images[..., 0], train.images[..., 2])
    assert train.class_names == tuple("0123456789")
    assert train.num_classes == 10
    assert train.labels.shape == (1433,)
