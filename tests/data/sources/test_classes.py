"""The order of classes, and how many images each has."""

import warnings

import numpy as np
import pytest

from keras_deit.data import ImageData, ImageRecords
from keras_deit.data.sources.classes import (
    check_classes,
    check_trained,
    count_labels,
    describe_classes,
    order_classes,
    order_note,
    warn_of_combined_names,
    warn_of_similar_names,
)

pytestmark = pytest.mark.backend_independent


def dataset(labels, names):
    return ImageData("pets", np.zeros((len(labels), 2, 2, 3), "uint8"), np.array(labels), tuple(names))


def describe(**splits):
    counts = {split: count_labels(data.labels, data.num_classes) for split, data in splits.items()}
    return describe_classes(splits, counts).splitlines()


def test_numbers_are_sorted_as_numbers_and_other_names_as_text():
    assert order_classes(["10", "2", "1"]) == ["1", "2", "10"]
    assert order_classes(["-1", "10.0", "2.0"]) == ["-1", "2.0", "10.0"]
    assert order_classes(["10", "2", "1", "x"]) == ["1", "10", "2", "x"]
    assert order_classes(["10", "2", "nan"]) == ["10", "2", "nan"]
    assert order_classes({"b10", "b2"}) == ["b10", "b2"]


def test_the_order_of_numbers_is_said_where_it_may_surprise():
    assert order_note([str(number) for number in range(10)]) == []
    assert order_note(["cat", "dog"]) == []
    assert "label 10 is class 10" in order_note([str(number) for number in range(11)])[0]
    assert "label 0 is class 1, label 1 is class 2" in order_note(["1", "2"])[0]


def test_the_images_of_each_class_are_counted_in_each_split():
    names = ["cat", "dog"]
    assert describe(train=dataset([0, 0, 1, -1], names), test=dataset([0], names)) == [
        "pets: 2 classes, 4 train, 1 test",
        "  class       train  test",
        "  cat             2     1",
        "  dog             1     0",
        "  unlabelled      1     0",
    ]


def test_of_many_classes_those_with_the_fewest_and_the_most_images_are_named():
    labels = np.repeat(np.arange(30), np.arange(30) + 1)
    assert describe(train=dataset(labels, [f"c{index}" for index in range(30)])) == [
        "pets: 30 classes, 465 train",
        "  train: 1 (c0) to 30 (c29) images of a class",
    ]


def test_equal_numbers_of_many_classes_are_one_number():
    train = dataset(np.arange(60) % 30, [f"c{index}" for index in range(30)])
    assert describe(train=train)[1:] == ["  train: 2 of each class"]
    assert describe(train=dataset([*range(30), -1], train.class_names))[1:] == [
        "  train: 1 of each class, 1 unlabelled"
    ]


def test_records_whose_labels_are_not_known_are_counted_as_a_whole():
    records = ImageRecords("mine", [(np.zeros((2, 2, 3), "uint8"), 0)], ("a", "b"))
    splits = {"train": records, "test": records}
    assert describe_classes(splits, {"train": None, "test": None}) == "mine: 2 classes, 1 train, 1 test"
    counts = {"train": np.array([3, 1, 0]), "test": np.array([2, 0, 0])}
    assert describe_classes(splits, counts).splitlines() == [
        "mine: 2 classes, 4 train, 2 test",
        "  class  train  test",
        "  a          3     2",
        "  b          1     0",
    ]


def test_a_class_with_test_images_alone_is_refused():
    counts = {"train": np.array([3, 0, 0]), "test": np.array([1, 2, 0])}
    with pytest.raises(ValueError, match="The classes dog of 'pets' have test images and no training images"):
        check_trained("pets", ("cat", "dog"), counts)
    check_trained("pets", ("cat", "dog"), {**counts, "train": np.array([3, 0, 5])})  # dogs may be unlabelled
    check_trained("pets", ("cat", "dog"), {**counts, "train": None})
    check_trained("pets", ("cat", "dog"), {**counts, "test": np.array([1, 0, 0])})


@pytest.mark.parametrize(
    "names",
    [
        ("Cat", "cat"),
        ("cat", "cat "),
        ("caf\u00e9", "cafe\u0301"),
        ("a b", "a  b"),
        ("1", "01"),
        ("10", "1e1"),
        ("1", "1.0"),
    ],
)
def test_names_that_differ_in_their_spelling_alone_are_warned_of(names):
    with pytest.warns(UserWarning, match="Classes of pets have names that differ only in case, spaces, the"):
        warn_of_similar_names("pets", (*names, "dog"))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("names", [("1", "11"), ("1_0", "10"), ("nan", "inf"), (f"1{20 * '0'}1", f"1{20 * '0'}2")])
def test_other_numbers_are_no_other_spelling(names):
    warn_of_similar_names("pets", names)


def test_one_class_is_refused():
    check_classes("pets", ("cat", "dog"))
    with pytest.raises(ValueError, match="at least two classes. 'pets' has cat. Add images"):
        check_classes("pets", ("cat",))


def test_names_that_combine_other_classes_are_warned_of():
    names = ("Effusion", "Effusion|Mass", "Mass", "Mass, Effusion", "tench, Tinca tinca", "a|", "|")
    with pytest.warns(UserWarning, match=r"combine other classes: Effusion\|Mass, Mass, Effusion. Each"):
        warn_of_combined_names("table.csv", names)


@pytest.mark.parametrize(
    "names", [("cat", "dog"), ("tench, Tinca tinca", "tench"), ("a|b", "a", "c"), ("a|", "a", "b")]
)
def test_names_with_signs_are_no_combinations(names):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_combined_names("table.csv", names)
