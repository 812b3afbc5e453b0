"""Cropped and erased rectangles, against the published distributions."""

import numpy as np
import pytest

from keras_deit.data.augment.crops import CROP_NUMBERS, ERASING_NUMBERS, crop, crop_attempts, erased_boxes

NUM_DRAWS = 20_000


def crops(seed, number, height, width, scale=(0.08, 1.0)):
    attempts = crop_attempts(np.random.default_rng(seed).random((number, CROP_NUMBERS)), scale)
    return np.array([crop(row, float(height), float(width)) for row in attempts])


def quantiles(values, expected, tolerance):
    """Compares deciles with those of a distribution, given by its inverse."""
    shares = np.arange(0.1, 0.95, 0.1)
    np.testing.assert_allclose(np.quantile(values, shares), expected(shares), atol=tolerance)


def test_crops_have_the_published_scale_and_ratio():
    drawn = crops(0, NUM_DRAWS, 2000, 2000, scale=(0.08, 0.5))
    areas, ratios = drawn[:, 2] * drawn[:, 3] / 2000**2, drawn[:, 3] / drawn[:, 2]
    quantiles(areas, lambda shares: 0.08 + shares * 0.42, 0.01)  # uniform
    quantiles(np.log(ratios), lambda shares: np.log(3 / 4) + shares * np.log(16 / 9), 0.02)  # log-uniform
    places = drawn[:, 0] / (2000 - drawn[:, 2])
    quantiles(places, lambda shares: shares, 0.02)


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (7, 9), (1, 1), (10, 1000), (1000, 10)])
def test_crops_lie_within_the_image(height, width):
    for top, left, crop_height, crop_width in crops(1, 300, height, width):
        assert min(top, left) >= 0
        assert crop_height >= 1
        assert crop_width >= 1
        assert top + crop_height <= height
        assert left + crop_width <= width


def test_where_no_crop_fits_the_middle_is_taken():
    assert crops(0, 1, 10, 1000, scale=(1, 1)).tolist() == [[0, 493, 10, 13]]
    assert crops(0, 1, 1000, 10, scale=(1, 1)).tolist() == [[493, 0, 13, 10]]


def test_tensorflow_comes_to_the_same_crops():
    tf = pytest.importorskip("tensorflow", reason="the crop is computed within its graph")
    graph = tf.function(lambda row, height, width: tf.stack(crop(row, height, width, library=tf)))
    attempts = crop_attempts(np.random.default_rng(4).random((500, CROP_NUMBERS)))
    for row, (height, width) in zip(attempts, np.random.default_rng(5).integers(1, 700, (500, 2)), strict=True):
        expected = crop(row, float(height), float(width))
        sizes = (tf.constant(float(side), tf.float64) for side in (height, width))
        np.testing.assert_array_equal(graph(tf.constant(row), *sizes), expected)


def test_what_is_erased_has_the_published_areas():
    boxes = erased_boxes(np.random.default_rng(2).random((NUM_DRAWS, ERASING_NUMBERS)), 224, 224)
    erased = boxes[boxes[:, 2] > 0]
    assert len(erased) / NUM_DRAWS > 0.999
    areas, aspects = erased[:, 2] * erased[:, 3] / 224**2, erased[:, 2] / erased[:, 3]
    assert areas.min() >= 0.019
    assert areas.max() <= 1 / 3 + 0.01
    assert aspects.min() >= 0.29
    assert aspects.max() <= 3.45
    quantiles(np.log(aspects[areas < 0.1]), lambda shares: np.log(0.3) * (1 - 2 * shares), 0.08)
    assert (erased[:, 0] + erased[:, 2]).max() <= 224
    assert (erased[:, 1] + erased[:, 3]).max() <= 224
