"""Cropped and erased rectangles, against the published distributions."""

import numpy as np
import pytest

from keras_deit.data.regions import draw_crop, draw_erasing

NUM_DRAWS = 20_000


def quantiles(values, expected, tolerance):
    """Compares deciles with those of a distribution, given by its inverse."""
    shares = np.arange(0.1, 0.95, 0.1)
    np.testing.assert_allclose(np.quantile(values, shares), expected(shares), atol=tolerance)


def test_crops_have_the_published_scale_and_ratio():
    rng = np.random.default_rng(0)
    crops = np.array([draw_crop(rng, 2000, 2000, scale=(0.08, 0.5)) for _ in range(NUM_DRAWS)])
    areas, ratios = crops[:, 2] * crops[:, 3] / 2000**2, crops[:, 3] / crops[:, 2]
    quantiles(areas, lambda shares: 0.08 + shares * 0.42, 0.01)  # uniform
    quantiles(np.log(ratios), lambda shares: np.log(3 / 4) + shares * np.log(16 / 9), 0.02)  # log-uniform
    places = crops[:, 0] / (2000 - crops[:, 2])
    quantiles(places, lambda shares: shares, 0.02)


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (7, 9), (1, 1), (10, 1000), (1000, 10)])
def test_crops_lie_within_the_image(height, width):
    rng = np.random.default_rng(1)
    for _ in range(300):
        top, left, crop_height, crop_width = draw_crop(rng, height, width)
        assert min(top, left) >= 0
        assert crop_height >= 1
        assert crop_width >= 1
        assert top + crop_height <= height
        assert left + crop_width <= width


def test_where_no_crop_fits_the_middle_is_taken():
    assert draw_crop(np.random.default_rng(0), 10, 1000, scale=(1, 1)) == (0, 493, 10, 13)
    assert draw_crop(np.random.default_rng(0), 1000, 10, scale=(1, 1)) == (493, 0, 13, 10)


def test_a_quarter_of_the_images_is_erased_on_the_published_areas():
    rng = np.random.default_rng(2)
    boxes = np.array([draw_erasing(rng, 224, 224) for _ in range(NUM_DRAWS)])
    erased = boxes[boxes[:, 2] > 0]
    assert len(erased) / NUM_DRAWS == pytest.approx(0.25, abs=0.01)
    areas, aspects = erased[:, 2] * erased[:, 3] / 224**2, erased[:, 2] / erased[:, 3]
    assert areas.min() >= 0.019
    assert areas.max() <= 1 / 3 + 0.01
    assert aspects.min() >= 0.29
    assert aspects.max() <= 3.45
    quantiles(np.log(aspects[areas < 0.1]), lambda shares: np.log(0.3) * (1 - 2 * shares), 0.08)
    assert (erased[:, 0] + erased[:, 2]).max() <= 224
    assert (erased[:, 1] + erased[:, 3]).max() <= 224
