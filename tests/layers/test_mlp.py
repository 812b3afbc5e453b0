"""The MLP and its exact GELU against NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_deit.layers import MLP
from tests import numpy_reference
from tests.battery import check_layer, weights_of
from tests.goldens.weights import fill, noise


def test_battery():
    check_layer(
        MLP,
        {"intermediate_dim": 20},
        input_shape=(2, 5, 12),
        output_shape=(2, 5, 12),
        num_weights=4,
        num_parameters=12 * 20 + 20 + 20 * 12 + 12,
    )


def test_equals_the_formula():
    layer = MLP(intermediate_dim=20)
    layer.build((None, 5, 12))
    fill(layer)
    tokens = 3 * noise("tokens", (2, 5, 12))
    expected = numpy_reference.mlp(tokens.astype("float64"), weights_of(layer))
    np.testing.assert_allclose(ops.convert_to_numpy(layer(tokens)), expected, atol=1e-5)


def test_the_gelu_is_exact():
    layer = MLP(intermediate_dim=1)
    layer.build((None, 1, 1))
    for weight in layer.weights:
        weight.assign(np.ones(weight.shape) if weight.path.endswith("kernel") else np.zeros(weight.shape))
    output = float(layer(np.full((1, 1, 1), 2.0, "float32"))[0, 0, 0])
    assert output == pytest.approx(1.9544997, abs=1e-6)  # 2 Φ(2); the tanh approximation gives 1.9545977


def test_intermediate_dim_must_be_positive():
    with pytest.raises(ValueError, match=r"`intermediate_dim` must be positive\. Received: intermediate_dim=0"):
        MLP(intermediate_dim=0)
