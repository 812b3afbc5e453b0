"""The layer norm over tokens."""

import numpy as np
from keras import ops

from keras_deit.layers import TokenNorm
from tests import numpy_reference
from tests.battery import check_layer, weights_of
from tests.goldens.weights import fill, noise


def test_battery():
    check_layer(
        TokenNorm,
        {"epsilon": 1e-5},
        input_shape=(2, 5, 12),
        output_shape=(2, 5, 12),
        num_weights=2,
        num_parameters=24,
    )


def test_equals_the_formula():
    layer = TokenNorm(epsilon=1e-3)
    layer.build((None, 5, 12))
    fill(layer)
    tokens = noise("tokens", (2, 5, 12)) + 2
    expected = numpy_reference.layer_norm(tokens.astype("float64"), weights_of(layer), 1e-3)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(tokens)), expected, atol=1e-5)
