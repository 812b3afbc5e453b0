"""The division of a dataset that has no splits, and names in messages."""

import numpy as np
import pytest

from keras_deit.data.sources.splits import is_in_split, shorten

pytestmark = pytest.mark.backend_independent


def test_the_first_of_every_five_examples_of_a_class_is_a_test_example():
    labels = np.array([2, 0, 0, 2, 0, 0, 0, 0, -1, -1])
    expected = np.array([1, 1, 0, 0, 0, 0, 0, 1, 1, 0], bool)
    np.testing.assert_array_equal(is_in_split(labels, "test"), expected)
    np.testing.assert_array_equal(is_in_split(labels, "train"), ~expected)


def test_long_lists_of_names_are_shortened():
    assert shorten(range(10)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert shorten(range(11)) == "0, 1, 2, 3, 4, 5, 6, 7, ... (11 in all)"
