"""LayerScale."""

import numpy as np
from keras import ops

from keras_deit.layers import LayerScale
from tests.battery import check_layer
from tests.goldens.weights import noise


def test_battery():
    check_layer(
        LayerScale,
        {"initial_value": 0.5},
        input_shape=(2, 5, 12),
        output_shape=(2, 5, 12),
        num_weights=1,
        num_parameters=12,
    )


def test_the_default_initial_value_is_that_of_the_official_code():
    tokens = noise("tokens", (2, 5, 12))
    np.testing.assert_allclose(ops.convert_to_numpy(LayerScale()(tokens)), 1e-4 * tokens, rtol=1e-6)


def test_each_channel_has_its_own_factor():
    layer = LayerScale(initial_value=1.0)
    layer.build((None, 5, 4))
    layer.gamma.assign([0.0, 1.0, 2.0, -3.0])
    tokens = noise("tokens", (2, 5, 4))
    expected = np.stack([0 * tokens[..., 0], tokens[..., 1], 2 * tokens[..., 2], -3 * tokens[..., 3]], axis=-1)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(tokens)), expected, rtol=1e-6)
