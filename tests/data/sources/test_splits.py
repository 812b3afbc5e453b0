"""The division of a dataset that has no splits."""

import numpy as np
import pytest

from keras_deit.data.sources.splits import is_in_split, split_of_name

pytestmark = pytest.mark.backend_independent


def test_the_first_of_every_five_examples_of_a_class_is_a_test_example():
    labels = np.array([2, 0, 0, 2, 0, 0, 0, 0, -1, -1])
    expected = np.array([1, 1, 0, 0, 0, 0, 0, 1, 1, 0], bool)
    np.testing.assert_array_equal(is_in_split(labels, "test"), expected)
    np.testing.assert_array_equal(is_in_split(labels, "train"), ~expected)


def test_equal_keys_stay_together_and_count_once():
    labels, keys = np.array([0, 0, 1, 0, 0, 0, 0, 0]), list("aaabcdef")
    expected = np.array([1, 1, 1, 0, 0, 0, 0, 1], bool)  # a is the first of class 0, f the sixth
    np.testing.assert_array_equal(is_in_split(labels, "test", keys), expected)
    np.testing.assert_array_equal(is_in_split(labels, "train", keys), ~expected)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(
            (name, "train")
            for name in ("train", "TRAIN", "Training", "x_train", "seg_train", "train2017", "Train Images")
        ),
        *((name, "train") for name in ("trainset", "TrainingSet", "train-data", "images.train")),
        *((name, "val") for name in ("val", "Valid", "VALIDATION", "val_images", "ILSVRC2012_val", "valid1")),
        *((name, "test") for name in ("test", "Testing", "x_test", "TestImages", "test_set")),
        *((name, None) for name in ("cat", "trains", "trainer", "valley", "contest", "attest", "trainval", "", "12")),
        *((name, None) for name in ("train_val", "train-test", "dev")),
    ],
)
def test_names_stand_for_splits_as_a_whole_or_with_an_affix(name, split):
    assert split_of_name(name) == split
