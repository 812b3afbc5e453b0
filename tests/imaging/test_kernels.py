"""The kernel of bicubic resizing."""

import numpy as np
import pytest

from keras_deit.imaging.kernels import cubic_kernel


@pytest.mark.parametrize("a", [-0.5, -0.75])
def test_the_weights_of_the_four_nearest_pixels_sum_to_1(a):
    offsets = np.linspace(0, 1, 11)
    weights = cubic_kernel(np.abs(offsets[:, None] - np.arange(-1, 3)), a)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-12)


def test_values_halfway_between_pixels_are_those_of_pil_and_of_pytorch():
    for a, nearer, farther in ((-0.5, 0.5625, -0.0625), (-0.75, 0.59375, -0.09375)):
        np.testing.assert_allclose(cubic_kernel(np.array([0.5, 1.5, 2.5]), a), [nearer, farther, 0])
