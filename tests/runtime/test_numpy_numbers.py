"""NumPy numbers become Python's."""

import numpy as np
import pytest

from keras_deit.runtime.numpy_numbers import python_number

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize(
    ("value", "expected"), [(np.int64(3), 3), (np.float32(0.5), 0.5), (np.bool_(True), True), (None, None), ("a", "a")]
)
def test_numbers_of_numpy_become_pythons(value, expected):
    received = python_number(value)
    assert received == expected
    assert type(received) is type(expected)
