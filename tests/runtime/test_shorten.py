"""Lists of names in messages."""

import pytest

from keras_deit.runtime.shorten import shorten

pytestmark = pytest.mark.backend_independent


def test_long_lists_of_names_are_shortened():
    assert shorten(range(10)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert shorten(range(11)) == "0, 1, 2, 3, 4, 5, 6, 7, ... (11 in all)"
    assert shorten("abcde", shown=3) == "a, b, c, d, e"
    assert shorten("abcdef", shown=3) == "a, b, c, ... (6 in all)"
