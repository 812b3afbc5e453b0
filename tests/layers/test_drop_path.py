"""Stochastic depth."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit.layers import DropPath, operations
from tests.battery import check_layer
from tests.goldens.weights import noise


def test_battery():
    check_layer(
        DropPath,
        {"rate": 0.0, "seed": 3},
        input_shape=(2, 5, 12),
        output_shape=(2, 5, 12),
        num_weights=0,
        num_parameters=0,
    )


def test_config_holds_rate_and_seed():
    config = DropPath(0.25, seed=7, name="drop").get_config()
    assert sorted(config) == ["dtype", "name", "rate", "seed", "trainable"]
    again = DropPath.from_config(config)
    assert (again.rate, again.seed, again.noise_shape) == (0.25, 7, (None, 1, 1))


def test_examples_are_dropped_whole_and_the_others_scaled_by_the_probability_of_keeping_them():
    tokens = 1 + np.abs(noise("tokens", (200, 5, 8)))
    outputs = ops.convert_to_numpy(DropPath(0.25, seed=1)(tokens, training=True))
    dropped = np.all(outputs == 0, axis=(1, 2))
    assert 0 < dropped.sum() < 200
    np.testing.assert_allclose(outputs[~dropped], tokens[~dropped] / 0.75, rtol=1e-6)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_expectation_is_kept(rate):
    num_examples = 4000
    outputs = ops.convert_to_numpy(DropPath(rate, seed=1)(np.ones((num_examples, 1, 2), "float32"), training=True))
    standard_error = np.sqrt(rate / (1 - rate) / num_examples)
    assert outputs.mean() == pytest.approx(1, abs=4 * standard_error)
    assert np.mean(outputs == 0) == pytest.approx(rate, abs=0.03)


def test_dropped_branches_are_zeros_also_where_the_tokens_are_infinite():
    outputs = ops.convert_to_numpy(DropPath(0.5, seed=1)(np.full((64, 1, 2), np.inf, "float32"), training=True))
    assert set(outputs.flatten()) == {0, np.inf}


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch compiles a call in parts")
def test_pytorch_compiles_one_graph_for_all_draws():
    import torch

    graphs, layer, tokens = [], DropPath(0.5, seed=1), torch.ones((64, 1, 2))
    compiled = torch.compile(
        lambda tokens: operations.drop_path(tokens, layer.rate, layer.seed_generator),
        backend=lambda graph, _: graphs.append(graph) or graph.forward,
    )
    first, second, _ = (compiled(tokens) for _ in range(3))
    assert len(graphs) == 1  # after the draws, which are not traced
    assert torch.any(first != second)


def test_every_call_draws_new_values():
    layer, tokens = DropPath(0.5, seed=1), np.ones((64, 1, 1), "float32")
    first, second = (ops.convert_to_numpy(layer(tokens, training=True)) for _ in range(2))
    assert np.any(first != second)


def test_the_draws_are_those_of_keras():
    layer, generator = DropPath(0.4, seed=3), keras.random.SeedGenerator(3)
    tokens = ops.convert_to_tensor(noise("tokens", (64, 2, 3)))
    for _ in range(2):
        expected = keras.random.dropout(tokens, 0.4, noise_shape=(64, 1, 1), seed=generator)
        received = layer(tokens, training=True)
        np.testing.assert_allclose(*map(ops.convert_to_numpy, (received, expected)), rtol=1e-6)


def test_tokens_are_unchanged_at_inference_and_at_rate_0():
    tokens = noise("tokens", (2, 5, 12))
    np.testing.assert_array_equal(ops.convert_to_numpy(DropPath(0.9)(tokens, training=False)), tokens)
    np.testing.assert_array_equal(ops.convert_to_numpy(DropPath(0.9)(tokens)), tokens)
    np.testing.assert_array_equal(ops.convert_to_numpy(DropPath(0.0)(tokens, training=True)), tokens)


@pytest.mark.parametrize("rate", [1, 1.0, 1.5, -0.1])
def test_the_rate_must_lie_in_0_to_1(rate):
    with pytest.raises(ValueError, match=rf"`rate` must lie in \[0, 1\). Received: rate={rate}"):
        DropPath(rate)


@pytest.mark.parametrize("mode", ["full", "larger_than", "list_of_layers"])
def test_a_remat_scope_in_which_other_branches_would_be_dropped_for_the_gradient_is_refused(mode):
    with keras.RematScope(mode=mode):
        DropPath(0.0)
        with pytest.raises(ValueError, match="drop other branches.*`block.remat = True` for each block"):
            DropPath(0.5)
    with keras.RematScope(mode="activations"):
        DropPath(0.5)
