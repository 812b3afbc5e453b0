"""Random crops, against the published distributions."""

import numpy as np
import pytest

from keras_deit.data.augment.crops import NUM_UNIFORMS, crop, crop_attempts

pytestmark = pytest.mark.backend_independent
NUM_DRAWS = 20_000
DECILES = np.arange(0.1, 0.95, 0.1)


def crops(seed, number, height, width, scale=(0.08, 1.0)):
    attempts = crop_attempts(np.random.default_rng(seed).random((number, NUM_UNIFORMS)), scale)
    return np.array([crop(row, float(height), float(width)) for row in attempts])


def test_crops_have_the_published_scale_and_ratio():
    drawn = crops(0, NUM_DRAWS, 2000, 2000, scale=(0.08, 0.5))
    areas, ratios = drawn[:, 2] * drawn[:, 3] / 2000**2, drawn[:, 3] / drawn[:, 2]
    np.testing.assert_allclose(np.quantile(areas, DECILES), 0.08 + DECILES * 0.42, atol=0.01)  # uniform
    log_uniform = np.log(3 / 4) + DECILES * np.log(16 / 9)
    np.testing.assert_allclose(np.quantile(np.log(ratios), DECILES), log_uniform, atol=0.02)
    positions = drawn[:, 0] / (2000 - drawn[:, 2])
    np.testing.assert_allclose(np.quantile(positions, DECILES), DECILES, atol=0.02)


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (7, 9), (1, 1), (10, 1000), (1000, 10)])
def test_crops_lie_within_the_image(height, width):
    for top, left, crop_height, crop_width in crops(1, 300, height, width):
        assert min(top, left) >= 0
        assert crop_height >= 1
        assert crop_width >= 1
        assert top + crop_height <= height
        assert left + crop_width <= width


def test_if_no_crop_fits_the_central_one_is_taken():
    assert crops(0, 1, 10, 1000, scale=(1, 1)).tolist() == [[0, 493, 10, 13]]
    assert crops(0, 1, 1000, 10, scale=(1, 1)).tolist() == [[493, 0, 13, 10]]
