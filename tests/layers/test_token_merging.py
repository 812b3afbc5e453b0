"""Merging of tokens against the paper's algorithm in NumPy."""

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
