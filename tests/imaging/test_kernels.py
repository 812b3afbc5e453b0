"""The kernels of resizing."""

import keras
import numpy as np
import pytest

from keras_deit.choices import INTERPOLATIONS
from keras_deit.imaging.kernels import crop_weights, cubic_kernel, traced_crop_weights


@pytest.mark.parametrize("a", [-0.5, -0.75])
def test_the_weights_of_the_four_nearest_pixels_sum_to_1(a):
    offsets = np.linspace(0, 1, 11)
    weights = cubic_kernel(np.abs(offsets[:, None] - np.arange(-1, 3)), a)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-12)


def test_values_halfway_between_pixels_are_those_of_pil_and_of_pytorch():
    for a, nearer, farther in ((-0.5, 0.5625, -0.0625), (-0.75, 0.59375, -0.09375)):
        np.testing.assert_allclose(cubic_kernel(np.array([0.5, 1.5, 2.5]), a), [nearer, farther, 0])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the other backends trace no sizes")
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_weights_within_a_graph_are_those_of_numpy(interpolation):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((), tf.float64)] * 2, autograph=False)
    def traced(source, resized):
        weights = traced_crop_weights(source, resized, 32, interpolation)
        return weights.pixels.start, weights.pixels.stop, weights.high, weights.low

    for source, resized in ((500, 36), (36, 36), (7, 41), (1, 40), (333, 32)):
        begin, end, high, low = traced(source, resized)
        expected = crop_weights(source, resized, 32, interpolation)
        assert slice(int(begin), int(end)) == expected.pixels
        np.testing.assert_array_equal(high, expected.high)
        np.testing.assert_array_equal(low, expected.low)
