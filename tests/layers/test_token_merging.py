"""Merging of tokens against the paper's algorithm in NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit.layers.token_merging import merge_tokens, num_merged_tokens
from tests.goldens.weights import noise
from tests.numpy_reference import merge_tokens as expected_merge


def merged(tokens, sizes, keys, *arguments):
    inputs = [ops.convert_to_tensor(values.astype("float32")) for values in (tokens, sizes, keys)]
    return [ops.convert_to_numpy(values) for values in merge_tokens(*inputs, *arguments)]


def inputs_of(length):
    sizes = np.random.RandomState(0).randint(1, 5, (3, length, 1)).astype("float64")
    return noise("tokens", (3, length, 8)).astype("float64"), sizes, noise("keys", (3, length, 4)).astype("float64")


@pytest.mark.parametrize("num_prefix_tokens", [1, 2])
@pytest.mark.parametrize(("length", "num_merged"), [(10, 1), (10, 3), (11, 4), (18, 8)])
def test_equals_the_algorithm_of_the_paper(length, num_merged, num_prefix_tokens):
    tokens, sizes, keys = inputs_of(length)
    outputs = merged(tokens, sizes, keys, num_merged, num_prefix_tokens)
    expected = [expected_merge(*one, num_merged, num_prefix_tokens) for one in zip(tokens, sizes, keys, strict=True)]
    for output, values in zip(outputs, zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(output, np.stack(values), atol=1e-5)
    assert outputs[0].shape == (3, length - num_merged, 8)
    np.testing.assert_array_equal(outputs[1].sum(axis=1), sizes.sum(axis=1))


@pytest.mark.parametrize("num_prefix_tokens", [1, 2])
def test_of_equal_cosines_the_first_counts(num_prefix_tokens):
    tokens, sizes, _ = inputs_of(12)
    keys = np.eye(4)[np.random.RandomState(1).randint(0, 2, (3, 12))]  # cosines are exactly 0 or 1
    outputs = merged(tokens, sizes, keys, 4, num_prefix_tokens)
    expected = [expected_merge(*one, 4, num_prefix_tokens) for one in zip(tokens, sizes, keys, strict=True)]
    np.testing.assert_allclose(outputs[0], np.stack([one for one, _ in expected]), atol=1e-5)


@pytest.mark.parametrize("num_prefix_tokens", [1, 2])
def test_prefix_tokens_are_never_merged(num_prefix_tokens):
    tokens, sizes, keys = inputs_of(8)
    sizes[:, :num_prefix_tokens] = 1
    keys[:] = keys[:, :1]  # every pair is as similar as can be
    num_merged = num_merged_tokens(8, 100, num_prefix_tokens)
    assert num_merged == 3
    outputs, new_sizes = merged(tokens, sizes, keys, num_merged, num_prefix_tokens)
    np.testing.assert_allclose(outputs[:, :num_prefix_tokens], tokens[:, :num_prefix_tokens], atol=1e-6)
    np.testing.assert_array_equal(new_sizes[:, :num_prefix_tokens], 1)


@pytest.mark.parametrize(("dtype", "unit"), [("float16", 2**-11), ("bfloat16", 2**-8)])  # half a unit in the last place
def test_half_precision_rounds_the_means_alone(dtype, unit):
    tokens, _, keys = inputs_of(10)
    tokens = ops.cast(
        ops.convert_to_tensor(400 * tokens.astype("float32")), dtype
    )  # the sums are too large for float16
    keys = ops.convert_to_tensor(keys.astype("float32"))
    sizes = np.random.RandomState(0).randint(257, 600, (3, 10, 1)).astype("int32")
    outputs, new_sizes = merge_tokens(tokens, ops.convert_to_tensor(sizes), keys, 3, 2)
    assert keras.backend.standardize_dtype(outputs.dtype) == dtype
    exact = [ops.convert_to_numpy(ops.cast(values, "float32")).astype("float64") for values in (tokens, keys)]
    expected = [expected_merge(one, size, key, 3, 2) for one, size, key in zip(exact[0], sizes, exact[1], strict=True)]
    outputs, means = ops.convert_to_numpy(ops.cast(outputs, "float32")), np.stack([one for one, _ in expected])
    np.testing.assert_allclose(outputs, means, rtol=1.01 * unit, atol=1e-2)
    np.testing.assert_array_equal(ops.convert_to_numpy(new_sizes), np.stack([size for _, size in expected]))


def test_a_key_of_zeros_is_orthogonal_to_all_others():
    tokens, sizes, keys = inputs_of(10)
    keys[:, 2], keys[:, 5] = 0, 0  # a source and a target
    outputs, new_sizes = merged(tokens, sizes, keys, 4, 1)
    one_more = np.concatenate([keys, np.zeros((3, 10, 2))], axis=-1)
    one_more[:, 2, 4], one_more[:, 5, 5] = 1, 1  # a dimension that no other key has
    expected = [expected_merge(*one, 4, 1) for one in zip(tokens, sizes, one_more, strict=True)]
    np.testing.assert_allclose(outputs, np.stack([one for one, _ in expected]), atol=1e-5)
    np.testing.assert_array_equal(new_sizes.sum(axis=1), sizes.sum(axis=1))
