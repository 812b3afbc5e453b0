"""The encoder block against the formula."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit.layers import EncoderBlock
from tests import numpy_reference
from tests.battery import check_layer, weights_of
from tests.goldens.weights import fill, noise

NORMS, ATTENTION, MLP, SCALES = 4 * 12, 12 * 36 + 36 + 12 * 12 + 12, 2 * 12 * 20 + 20 + 12, 2 * 12


@pytest.mark.parametrize(
    ("layer_scale_init", "num_weights", "num_parameters"),
    [(None, 12, NORMS + ATTENTION + MLP), (1e-4, 14, NORMS + ATTENTION + MLP + SCALES)],
)
def test_battery(layer_scale_init, num_weights, num_parameters):
    arguments = dict(num_heads=3, intermediate_dim=20, drop_path_rate=0.0, layer_norm_epsilon=1e-5)
    check_layer(
        EncoderBlock,
        {**arguments, "layer_scale_init": layer_scale_init},
        input_shape=(2, 5, 12),
        output_shape=(2, 5, 12),
        num_weights=num_weights,
        num_parameters=num_parameters,
    )


def _block(**arguments):
    block = EncoderBlock(num_heads=3, intermediate_dim=20, **arguments)
    block.build((None, 5, 12))
    return fill(block)


@pytest.mark.parametrize("layer_scale_init", [None, 1e-4])
@pytest.mark.parametrize("epsilon", [1e-6, 0.5])
def test_equals_the_formula(layer_scale_init, epsilon):
    block = _block(layer_scale_init=layer_scale_init, layer_norm_epsilon=epsilon)
    tokens = noise("tokens", (2, 5, 12))
    expected, expected_map = numpy_reference.encoder_block(tokens.astype("float64"), weights_of(block), 3, epsilon)
    outputs, attention_map = block(tokens, return_attention=True)
    np.testing.assert_allclose(ops.convert_to_numpy(block(tokens)), expected, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), expected, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(attention_map), expected_map, atol=1e-6)


def test_symbolic_outputs_have_the_shapes_of_computed_outputs():
    tokens, attention_map = EncoderBlock(3, 20)(keras.Input((5, 12)), return_attention=True)
    assert tokens.shape == (None, 5, 12)
    assert (attention_map.shape, attention_map.dtype) == ((None, 3, 5, 5), "float32")


def test_layer_scale_starts_small_on_both_branches():
    block = EncoderBlock(3, 20, layer_scale_init=1e-4)
    block.build((None, 5, 12))
    for scale in (block.attention_scale, block.mlp_scale):
        np.testing.assert_allclose(ops.convert_to_numpy(scale.gamma), np.full(12, 1e-4), rtol=1e-6)


def test_drop_path_drops_the_branches_of_an_example_independently():
    block, rate = _block(drop_path_rate=0.5), 0.5
    tokens = np.repeat(noise("tokens", (1, 5, 12)), 64, axis=0)
    weights, example = weights_of(block), tokens[:1].astype("float64")
    attention, _ = numpy_reference.attention(
        numpy_reference.layer_norm(example, numpy_reference.subweights(weights, "attention_norm"), 1e-6),
        numpy_reference.subweights(weights, "attention"),
        num_heads=3,
    )
    possible = []
    for keeps_attention in (0, 1):
        middle = example + keeps_attention * attention / (1 - rate)
        normed = numpy_reference.layer_norm(middle, numpy_reference.subweights(weights, "mlp_norm"), 1e-6)
        mlp = numpy_reference.mlp(normed, numpy_reference.subweights(weights, "mlp"))
        possible += [middle[0], (middle + mlp / (1 - rate))[0]]
    outputs = ops.convert_to_numpy(block(tokens, training=True))
    distances = np.abs(outputs[:, None] - np.stack(possible)[None]).max(axis=(2, 3))  # (examples, possible outcomes)
    np.testing.assert_allclose(distances.min(axis=1), 0, atol=1e-5)
    assert set(distances.argmin(axis=1)) == {0, 1, 2, 3}


def test_nothing_is_dropped_at_inference():
    tokens = noise("tokens", (2, 5, 12))
    dropping, plain = _block(drop_path_rate=0.9), _block()
    plain.set_weights(dropping.get_weights())
    np.testing.assert_allclose(
        ops.convert_to_numpy(dropping(tokens)), ops.convert_to_numpy(plain(tokens)), rtol=0, atol=1e-6
    )


def test_the_drop_path_rate_is_checked():
    with pytest.raises(ValueError, match="`rate` must lie in"):
        EncoderBlock(3, 20, drop_path_rate=1.0)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow traces a graph for free shapes")
def test_a_graph_for_any_number_of_tokens():
    import tensorflow as tf

    block = EncoderBlock(num_heads=3, intermediate_dim=20)
    block.build((None, None, 12))
    fill(block)
    traced = tf.function(block, input_signature=[tf.TensorSpec((None, None, 12), tf.float32)])
    for shape in ((2, 5, 12), (1, 7, 12)):
        tokens = noise("tokens", shape)
        expected, _ = numpy_reference.encoder_block(tokens.astype("float64"), weights_of(block), 3, 1e-6)
        np.testing.assert_allclose(traced(tokens), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("policy", "return_attention"),
    [("float32", False), ("float32", True), ("mixed_bfloat16", False), ("mixed_float16", False)],
)
def test_training_with_remat_is_training_without(policy, return_attention):
    tokens = np.random.default_rng(0).normal(size=(8, 5, 8)).astype("float32")
    trained = []
    for remat in (False, True):
        keras.utils.set_random_seed(1)
        block = EncoderBlock(2, 16, drop_path_rate=0.5, layer_scale_init=0.5, dtype=policy)
        inputs = keras.Input((5, 8))
        model = keras.Model(inputs, block(inputs, return_attention=return_attention))
        block.remat = remat
        model.compile(keras.optimizers.SGD(0.5), loss=["mse", "mse"] if return_attention else "mse")
        targets = [tokens[::-1], np.ones((8, 2, 5, 5), "float32")] if return_attention else tokens[::-1]
        before = model.get_weights()
        model.fit(
            tokens, targets, batch_size=4, epochs=2, shuffle=False, verbose=0
        )  # other branches are dropped in each step
        trained.append(model.get_weights())
        assert "remat" not in block.get_config()
    for one, two in zip(*trained, strict=True):
        np.testing.assert_allclose(two, one, rtol=0, atol=2e-6)
    assert max(np.abs(one - first).max() for one, first in zip(trained[0], before, strict=True)) > 1e-2
