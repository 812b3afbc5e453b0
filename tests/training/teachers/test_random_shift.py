"""Random shifts of training images."""

import numpy as np
import pytest

from keras_deit.training.teachers.random_shift import random_shift

pytestmark = pytest.mark.backend_independent


def test_each_image_is_one_of_the_nine_shifts_of_an_edge_padded_image():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(200, 5, 6, 3), dtype=np.uint8)
    shifted = random_shift(images, 1, rng)
    seen = set()
    for image, result in zip(images, shifted, strict=True):
        padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
        matches = [(i, j) for i in range(3) for j in range(3) if np.array_equal(padded[i : i + 5, j : j + 6], result)]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) == 9
    assert shifted.dtype == np.uint8


def test_a_shift_of_at_most_zero_pixels_changes_nothing():
    images = np.arange(2 * 3 * 3 * 3).reshape(2, 3, 3, 3)
    np.testing.assert_array_equal(random_shift(images, 0, np.random.default_rng(0)), images)
