"""The dense layer over tokens."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit.layers.dense import TokenDense
from tests import numpy_reference
from tests.battery import check_layer, weights_of
from tests.goldens.weights import fill, noise


def test_battery():
    check_layer(
        TokenDense,
        {"units": 36},
        input_shape=(2, 5, 12),
        output_shape=(2, 5, 36),
        num_weights=2,
        num_parameters=12 * 36 + 36,
    )


def test_equals_a_matrix_product_over_the_last_axis():
    layer = TokenDense(36)
    layer.build((None, 5, 12))
    fill(layer)
    tokens = noise("tokens", (2, 5, 12))
    expected = numpy_reference.dense(tokens.astype("float64"), weights_of(layer))
    np.testing.assert_allclose(ops.convert_to_numpy(layer(tokens)), expected, atol=1e-5)


def test_initial_values_are_normal_and_not_truncated():
    layer = TokenDense(512)
    layer.build((None, 5, 384))
    kernel = ops.convert_to_numpy(layer.kernel)
    assert kernel.std() == pytest.approx(0.02, rel=0.01)
    assert abs(kernel.mean()) < 2e-4
    assert np.abs(kernel).max() > 3 * 0.02
    assert not np.any(ops.convert_to_numpy(layer.bias))


def test_the_config_keeps_another_initializer():
    layer = TokenDense(4, kernel_initializer=keras.initializers.Ones())
    again = TokenDense.from_config(layer.get_config())
    again.build((None, 5, 12))
    assert np.all(ops.convert_to_numpy(again.kernel) == 1)


def test_int8_equals_rounding_kernel_columns_and_tokens_to_127_steps():
    layer = TokenDense(36)
    layer.build((None, 5, 12))
    fill(layer)
    weights = weights_of(layer)
    tokens = noise("tokens", (2, 5, 12)).astype("float64")
    layer.quantize("int8")
    outputs = ops.convert_to_numpy(layer(tokens.astype("float32")))
    kernel_steps = np.abs(weights["kernel"]).max(axis=0) / 127  # one for each output
    token_steps = np.abs(tokens).max(axis=-1, keepdims=True) / 127  # one for each token
    products = np.round(tokens / token_steps) @ np.round(weights["kernel"] / kernel_steps)
    np.testing.assert_allclose(outputs, products * token_steps * kernel_steps + weights["bias"], atol=1e-4)
    assert np.abs(outputs - numpy_reference.dense(tokens, weights)).max() > 1e-4  # it does differ from float
