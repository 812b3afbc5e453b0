"""Sizes and classes of the labelled subsets and of the validation split."""

import numpy as np
import pytest

from keras_deit.reproduction.subsets import labelled_indices, validation_indices

pytestmark = pytest.mark.backend_independent

LABELS = np.random.default_rng(0).choice([-1, 0, 1, 2], size=2000, p=[0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("per_class", [1, 10, 100])
def test_every_class_has_the_same_number_of_labels(per_class):
    chosen = labelled_indices(LABELS, per_class, seed=3)
    assert np.bincount(LABELS[chosen]).tolist() == [per_class] * 3
    assert len(set(chosen)) == len(chosen)


def test_all_labels_are_the_labelled_images():
    assert np.array_equal(labelled_indices(LABELS, None, seed=0), np.flatnonzero(LABELS >= 0))


def test_seeds_choose_other_images_and_a_smaller_subset_is_part_of_a_larger_one():
    first, second = (set(labelled_indices(LABELS, 50, seed)) for seed in (0, 1))
    assert first != second
    assert set(labelled_indices(LABELS, 10, 0)) < first
    assert set(labelled_indices(LABELS, 50, 0)) == first


def test_too_few_images_are_an_error():
    with pytest.raises(ValueError, match="only 2 images"):
        labelled_indices(np.array([0, 0, 1, 1, 1]), 3, seed=0)


def test_the_validation_split_has_a_fifth_of_each_class():
    chosen = validation_indices(LABELS)
    counts = np.bincount(LABELS[LABELS >= 0])
    assert np.bincount(LABELS[chosen]).tolist() == (counts // 5).tolist()
    assert LABELS[chosen].min() == 0


def test_the_validation_split_of_a_large_dataset_has_2000_images():
    labels = np.arange(60_000) % 10
    assert np.bincount(labels[validation_indices(labels)]).tolist() == [200] * 10
