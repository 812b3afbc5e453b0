"""Random erasing, against the published distributions."""

import numpy as np
import pytest

from keras_deit.data.augment.erasing import NOISE_SIZE, NUM_UNIFORMS, erased_boxes, noise_table, num_noise_offsets

pytestmark = pytest.mark.backend_independent
NUM_DRAWS = 20_000


def test_erased_rectangles_have_the_published_areas_and_aspects():
    boxes = erased_boxes(np.random.default_rng(2).random((NUM_DRAWS, NUM_UNIFORMS)), 224, 224)
    erased = boxes[boxes[:, 2] > 0]
    assert len(erased) / NUM_DRAWS > 0.999
    areas, aspects = erased[:, 2] * erased[:, 3] / 224**2, erased[:, 2] / erased[:, 3]
    assert areas.min() >= 0.019
    assert areas.max() <= 1 / 3 + 0.01
    assert aspects.min() >= 0.29
    assert aspects.max() <= 3.45
    deciles = np.arange(0.1, 0.95, 0.1)
    received = np.quantile(np.log(aspects[areas < 0.1]), deciles)
    np.testing.assert_allclose(received, np.log(0.3) * (1 - 2 * deciles), atol=0.08)  # log-uniform
    assert (erased[:, 0] + erased[:, 2]).max() <= 224
    assert (erased[:, 1] + erased[:, 3]).max() <= 224


def test_nothing_is_erased_if_no_attempt_fits():
    boxes = erased_boxes(np.full((2, NUM_UNIFORMS), 0.99), 2, 1000)  # tall rectangles in a flat image
    assert boxes[:, 2:].tolist() == [[0, 0], [0, 0]]


def test_noise_is_standard_normal():
    noise = noise_table()
    assert (noise.mean(), noise.std()) == (pytest.approx(0, abs=2e-3), pytest.approx(1, abs=2e-3))
    assert (np.abs(noise) > 1.96).mean() == pytest.approx(0.05, abs=1e-3)
    assert (noise.dtype, len(noise)) == (np.float32, NOISE_SIZE)


def test_the_noise_of_an_image_ends_within_the_table():
    assert num_noise_offsets((224, 224)) == 2**22 - 150_528
    with pytest.raises(ValueError, match=r"at most 1,398,101 pixels. Received: image_size=\(1183, 1182\)"):
        num_noise_offsets((1183, 1182))
