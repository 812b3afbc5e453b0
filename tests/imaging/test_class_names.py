"""Lists of class names in another order or spelling."""

import numpy as np
import pytest

from keras_deit.imaging import imagenet
from keras_deit.imaging.class_names import match_classes

pytestmark = pytest.mark.backend_independent


def test_the_positions_reorder_their_list_to_ours():
    theirs, ours = ("c", "a", "d", "b"), ("a", "b", "c", "d")
    positions = match_classes(theirs, ours)
    assert [theirs[index] for index in positions] == list(ours)
    np.testing.assert_array_equal(match_classes(ours, ours), np.arange(4))


def test_other_names_and_names_twice_in_another_order_do_not_match():
    assert match_classes(("a", "b"), ("a", "c")) is None
    assert match_classes(("a", "b", "b"), ("b", "a", "a")) is None
    assert match_classes(("a", "b", "b"), ("b", "a", "b")) is None
    np.testing.assert_array_equal(match_classes(("a", "b", "b"), ("a", "b", "b")), np.arange(3))


def test_the_folders_of_imagenet_are_the_classes_of_the_presets():
    names = imagenet.class_names()
    assert len(names) == 1000
    assert (names[0], names[281], names[999]) == (
        "tench, Tinca tinca",
        "tabby, tabby cat",
        "toilet tissue, toilet paper, bathroom tissue",
    )
    assert match_classes(
        ("goldfish, Carassius auratus", "tench, Tinca tinca"), ("n01440764", "n01443537")
    ).tolist() == [1, 0]
