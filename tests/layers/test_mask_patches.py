"""The mask token replaces masked patches and no others."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit.layers import MaskPatches

TOKENS = np.random.default_rng(0).normal(size=(2, 4, 8)).astype("float32")
MASK = np.array([[True, False, False, True], [False, False, True, False]])


@pytest.mark.parametrize("dtype", ["bool", "int32", "float32"])
def test_masked_patches_are_replaced(dtype):
    layer = MaskPatches()
    replaced = ops.convert_to_numpy(layer(TOKENS, MASK.astype(dtype)))
    token = layer.get_weights()[0]
    assert token.shape == (1, 1, 8)
    np.testing.assert_array_equal(replaced, np.where(MASK[..., None], token, TOKENS))


def test_half_precision_and_config():
    layer = MaskPatches(dtype="mixed_bfloat16", name="mask")
    assert keras.backend.standardize_dtype(layer(TOKENS, MASK).dtype) == "bfloat16"
    again = MaskPatches.from_config(layer.get_config())
    assert (again.name, again.dtype_policy.name) == ("mask", "mixed_bfloat16")


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"Expected a mask of shape \(batch, 4\)"):
        MaskPatches()(TOKENS, MASK[:, :3])


@pytest.mark.parametrize("shape", [(2, 2, 2), (2, 3), (2, 1), (4,)])
def test_a_built_layer_refuses_a_mask_of_another_shape(shape):
    layer = MaskPatches()
    layer(TOKENS, MASK)
    with pytest.raises(ValueError, match=r"Expected a mask of shape \(batch, 4\)"):
        layer(TOKENS, np.ones(shape, "bool"))


def test_the_config_builds_the_layer_again():
    layer = MaskPatches(dtype=keras.dtype_policies.get("mixed_bfloat16"), name="some_name", trainable=False)
    again = MaskPatches.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.name, again.dtype_policy.name, again.trainable) == ("some_name", "mixed_bfloat16", False)
