"""The classes of a dataset among those of a model."""

import numpy as np
import pytest

from keras_deit.evaluation.classes import map_classes
from keras_deit.imaging import imagenet

pytestmark = pytest.mark.backend_independent


def test_the_same_classes_need_no_note():
    found = map_classes(("cat", "dog"), 2, ("cat", "dog"))
    assert (found.names, found.theirs.tolist(), found.note, found.has_others) == (("cat", "dog"), [0, 1], None, False)


def test_another_order_is_mapped_and_said():
    theirs, ours = ("c", "a", "b"), ("a", "b", "c")
    found = map_classes(theirs, 3, ours)
    assert [theirs[index] for index in found.theirs] == list(ours) == list(found.names)
    assert [ours[index] for index in found.ours] == list(theirs)
    assert "in another order (weights: c, a, b; dataset: a, b, c)" in found.note


@pytest.mark.parametrize(("theirs", "ours"), [(("cat", "dog"), ("0", "1")), (("LABEL_0", "LABEL_1"), ("cat", "dog"))])
def test_names_that_only_count_the_classes_are_matched_by_order_and_this_is_said(theirs, ours):
    found = map_classes(theirs, 2, ours)
    assert found.theirs.tolist() == [0, 1]
    assert f"the same order is assumed (weights: {', '.join(theirs)}; dataset: {', '.join(ours)})" in found.note
    assert map_classes(ours, 2, ours).note is None


@pytest.mark.parametrize("folders", [("n03888257", "n01440764"), ("parachute", "Tench")])
def test_some_classes_of_imagenet_are_found_by_synset_or_name(folders):
    names = imagenet.class_names()
    found = map_classes(names, 1000, folders)
    assert found.names[:2] == folders
    assert [names[index].split(",")[0] for index in found.theirs[:2]] == ["parachute", "tench"]
    assert sorted(found.theirs) == list(range(1000))
    assert [found.names[index] for index in found.ours[[0, 1]]] == [folders[1], names[1]]
    assert "2 of the 1,000 classes" in found.note
    np.testing.assert_array_equal(found.theirs[found.ours], np.arange(1000))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (("cat", "dog"), ("cat", "horse")),
        (("cat", "dog"), ("cat", "dog", "horse")),
        (("cat", "dog", "bird"), ("cat", "horse")),
        (("crane", "dog", "crane"), ("crane", "dog")),  # which of the two?
        (("cat", "dog", "bird"), ("0", "1")),
    ],
)
def test_other_classes_are_an_error(theirs, ours):
    with pytest.raises(ValueError, match="must be among those of the weights.*Received.*dataset: "):
        map_classes(theirs, len(theirs), ours)


def test_without_names_the_numbers_must_agree():
    found = map_classes(None, 2, ("cat", "dog"))
    assert found.theirs.tolist() == [0, 1]
    assert "have no class names" in found.note
    with pytest.raises(
        ValueError, match="have no class names.*Received: 5 classes of the weights and 2 of the dataset"
    ):
        map_classes(None, 5, ("cat", "dog"))
