"""Self-attention against the formula."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit.layers import MultiHeadSelfAttention
from tests import numpy_reference
from tests.battery import check_layer, weights_of
from tests.goldens.weights import fill, noise


def _attention(num_heads=3, hidden_dim=12):
    layer = MultiHeadSelfAttention(num_heads)
    layer.build((None, 5, hidden_dim))
    return fill(layer)


def test_battery():
    check_layer(
        MultiHeadSelfAttention,
        {"num_heads": 3},
        input_shape=(2, 5, 12),
        output_shape=(2, 5, 12),
        num_weights=4,
        num_parameters=12 * 36 + 36 + 12 * 12 + 12,
    )


@pytest.mark.parametrize("num_heads", [1, 3])
@pytest.mark.parametrize("return_attention", [False, True])
def test_equals_the_formula(num_heads, return_attention):
    layer, tokens = _attention(num_heads), 2 * noise("tokens", (2, 5, 12))
    expected, expected_map = numpy_reference.attention(tokens.astype("float64"), weights_of(layer), num_heads)
    outputs = layer(tokens, return_attention=return_attention)
    if return_attention:
        outputs, attention_map = outputs
        np.testing.assert_allclose(ops.convert_to_numpy(attention_map), expected_map, atol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), expected, atol=1e-5)


def test_outputs_are_equal_with_and_without_the_map():
    layer, tokens = _attention(), noise("tokens", (2, 5, 12))
    outputs, _ = layer(tokens, return_attention=True)
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), ops.convert_to_numpy(layer(tokens)), atol=1e-5)


@pytest.mark.parametrize(
    ("policy", "tolerance"), [("float32", 1e-6), ("mixed_bfloat16", 1e-6), ("mixed_float16", 1e-6)]
)
def test_the_map_is_float32_and_its_rows_sum_to_1(policy, tolerance):
    layer = MultiHeadSelfAttention(num_heads=3, dtype=policy)
    layer.build((None, 5, 12))
    outputs, attention_map = fill(layer)(noise("tokens", (2, 5, 12)), return_attention=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == layer.compute_dtype
    assert keras.backend.standardize_dtype(attention_map.dtype) == "float32"
    attention_map = ops.convert_to_numpy(attention_map)
    assert attention_map.shape == (2, 3, 5, 5)
    assert attention_map.min() >= 0
    np.testing.assert_allclose(attention_map.sum(axis=-1), 1, atol=tolerance)


def test_symbolic_outputs_have_the_shapes_of_computed_outputs():
    outputs, attention_map = MultiHeadSelfAttention(num_heads=3)(keras.Input((5, 12)), return_attention=True)
    assert outputs.shape == (None, 5, 12)
    assert (attention_map.shape, attention_map.dtype) == ((None, 3, 5, 5), "float32")


def test_outputs_of_extreme_tokens_are_finite():
    outputs, attention_map = _attention()(1e4 * noise("tokens", (2, 5, 12)), return_attention=True)
    assert np.all(np.isfinite(ops.convert_to_numpy(outputs)))
    np.testing.assert_allclose(ops.convert_to_numpy(attention_map).sum(axis=-1), 1, atol=1e-6)


def test_initial_values_are_normal_and_biases_zero():
    layer = MultiHeadSelfAttention(num_heads=3)
    layer.build((None, 5, 192))
    for dense in (layer.qkv, layer.projection):
        kernel = ops.convert_to_numpy(dense.kernel)
        assert kernel.std() == pytest.approx(0.02, rel=0.02)
        assert np.abs(kernel).max() > 3 * 0.02
        assert not np.any(ops.convert_to_numpy(dense.bias))


def test_num_heads_must_divide_hidden_dim():
    with pytest.raises(ValueError, match="Received: num_heads=5, hidden_dim=12"):
        MultiHeadSelfAttention(num_heads=5).build((None, 5, 12))


@pytest.mark.parametrize("num_heads", [0, -3])
def test_num_heads_must_be_positive(num_heads):
    with pytest.raises(ValueError, match=f"`num_heads` must be positive. Received: num_heads={num_heads}"):
        MultiHeadSelfAttention(num_heads)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_larger_token_counts_as_often_as_it_has_patches(policy):
    layer = MultiHeadSelfAttention(3, dtype=policy)
    layer.build((None, 5, 12))
    tokens, sizes = noise("tokens", (2, 3, 12)), np.array([[[2], [1], [3]], [[1], [300], [2]]], "int32")
    outputs, keys = fill(layer)(tokens, token_sizes=ops.convert_to_tensor(sizes))
    weights, tolerance = weights_of(layer), 1e-5 if policy == "float32" else 0.05
    for index in range(2):
        repeated = np.repeat(tokens[index].astype("float64"), sizes[index, :, 0], axis=0)
        expected, _ = numpy_reference.attention(repeated[None], weights, 3)
        first = np.cumsum([0, *sizes[index, :-1, 0]])  # of each token's copies
        output = ops.convert_to_numpy(ops.cast(outputs[index], "float32"))
        np.testing.assert_allclose(output, expected[0, first], atol=tolerance)
        projected = numpy_reference.dense(repeated[first], numpy_reference.subweights(weights, "qkv"))[:, 12:24]
        key = ops.convert_to_numpy(ops.cast(keys[index], "float32"))
        np.testing.assert_allclose(key, projected.reshape(3, 3, 4).mean(axis=1), atol=tolerance)
