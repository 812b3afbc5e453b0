"""Gradients on every backend."""

import keras
import numpy as np

from keras_deit.runtime.gradients import gradients


def test_gradients_are_those_of_the_formula():
    one, other = np.array([1.0, 2.0], "float32"), np.array([[3.0], [4.0]], "float32")

    def product(tensors):
        return keras.ops.sum(tensors[0][:, None] ** 3 * tensors[1])

    found = gradients(product, [keras.ops.convert_to_tensor(values) for values in (one, other)])
    for gradient, expected in zip(found, (3 * one**2 * other[:, 0], one[:, None] ** 3), strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(gradient), expected, rtol=1e-6)
