"""Prefix tokens and position embeddings."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit.layers import PrefixTokens
from tests.battery import check_layer
from tests.goldens.weights import fill, noise


@pytest.mark.parametrize(
    ("distilled", "prefix_positions", "num_weights", "num_vectors"),
    [(True, True, 3, 2 + 7), (False, False, 2, 1 + 5)],
)
def test_battery(distilled, prefix_positions, num_weights, num_vectors):
    check_layer(
        PrefixTokens,
        {"distilled": distilled, "prefix_positions": prefix_positions, "grid": (1, 5)},
        input_shape=(2, 5, 12),
        output_shape=(2, 7 if distilled else 6, 12),
        num_weights=num_weights,
        num_parameters=num_vectors * 12,
    )


@pytest.mark.parametrize(
    ("distilled", "prefix_positions", "num_vectors"),
    [(True, True, 2 + 7), (False, True, 1 + 6), (True, False, 2 + 5), (False, False, 1 + 5)],
)
def test_numbers_of_tokens_and_positions(distilled, prefix_positions, num_vectors):
    layer = PrefixTokens(distilled=distilled, prefix_positions=prefix_positions)
    layer.build((None, 5, 12))
    assert layer.count_params() == num_vectors * 12
    assert layer.num_prefix_tokens == (2 if distilled else 1)
    assert layer.compute_output_shape((None, 5, 12)) == (None, 5 + layer.num_prefix_tokens, 12)


def test_tokens_are_ordered_class_distillation_patches_and_all_have_positions():
    layer = PrefixTokens()
    layer.build((None, 5, 12))
    fill(layer)
    patches = noise("patches", (2, 5, 12))
    positions = ops.convert_to_numpy(layer.positions)[0]
    outputs = ops.convert_to_numpy(layer(patches))
    for example, tokens in zip(patches, outputs, strict=True):
        np.testing.assert_allclose(tokens[0], ops.convert_to_numpy(layer.class_token)[0, 0] + positions[0], atol=1e-6)
        np.testing.assert_allclose(
            tokens[1], ops.convert_to_numpy(layer.distillation_token)[0, 0] + positions[1], atol=1e-6
        )
        np.testing.assert_allclose(tokens[2:], example + positions[2:], atol=1e-6)


def test_without_prefix_positions_only_patches_have_positions():
    layer = PrefixTokens(distilled=False, prefix_positions=False)
    layer.build((None, 5, 12))
    fill(layer)
    patches = noise("patches", (2, 5, 12))
    outputs = ops.convert_to_numpy(layer(patches))
    for example, tokens in zip(patches, outputs, strict=True):
        np.testing.assert_allclose(tokens[0], ops.convert_to_numpy(layer.class_token)[0, 0], atol=1e-6)
        np.testing.assert_allclose(tokens[1:], example + ops.convert_to_numpy(layer.positions)[0], atol=1e-6)


def test_initial_values_are_normal_and_not_truncated():
    layer = PrefixTokens()
    layer.build((None, 196, 768))
    values = ops.convert_to_numpy(layer.positions)
    assert values.std() == pytest.approx(0.02, rel=0.01)
    assert np.abs(values).max() > 3 * 0.02
    for token in (layer.class_token, layer.distillation_token):
        assert ops.convert_to_numpy(token).std() == pytest.approx(0.02, rel=0.1)
    assert np.any(ops.convert_to_numpy(layer.class_token) != ops.convert_to_numpy(layer.distillation_token))


def test_saved_weights_are_refused_by_a_layer_of_another_grid(tmp_path):
    def model(grid):
        return keras.Sequential([keras.Input((6, 4)), PrefixTokens(grid=grid)])

    source = model((2, 3))
    source.save_weights(tmp_path / "model.weights.h5")
    for grid in ((2, 3), None):
        same = model(grid)
        same.load_weights(tmp_path / "model.weights.h5")
        for value, expected in zip(same.get_weights(), source.get_weights(), strict=True):
            np.testing.assert_array_equal(value, expected)
    other = model((3, 2))
    before = other.get_weights()
    with pytest.raises(ValueError, match="Expected position embeddings of 3 × 2 patches. Received: those of 2 × 3"):
        other.load_weights(tmp_path / "model.weights.h5")
    for value, expected in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, expected)
