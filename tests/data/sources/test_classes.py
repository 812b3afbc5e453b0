"""The order of classes, and how many images each has."""

import numpy as np
import pytest

from keras_deit.data import ImageData, ImageRecords
from keras_deit.data.sources.classes import check_classes, describe_classes, order_classes, order_note

pytestmark = pytest.mark.backend_independent


def dataset(labels, names):
    return ImageData("pets", np.zeros((len(labels), 2, 2, 3), "uint8"), np.array(labels), tuple(names))


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
    splits = {"train": dataset([0, 0, 1, -1], ["cat", "dog"]), "test": dataset([0], ["cat", "dog"])}
    assert describe_classes(splits).splitlines() == [
        "pets: 2 classes, 4 train, 1 test",
        "  class       train  test",
        "  cat             2     1",
        "  dog             1     0",
        "  unlabelled      1     0",
    ]


def test_of_many_classes_those_with_the_fewest_and_the_most_images_are_named():
    labels = np.repeat(np.arange(30), np.arange(30) + 1)
    train = dataset(labels, [f"c{index}" for index in range(30)])
    assert describe_classes({"train": train}).splitlines() == [
        "pets: 30 classes, 465 train",
        "  train: 1 (c0) to 30 (c29) images of a class",
    ]


def test_records_whose_labels_are_not_known_are_counted_as_a_whole():
    records = ImageRecords("mine", [(np.zeros((2, 2, 3), "uint8"), 0)], ("a", "b"))
    assert describe_classes({"train": records, "test": records}) == "mine: 2 classes, 1 train, 1 test"


def test_one_class_is_refused():
    check_classes("pets", ("cat", "dog"))
    with pytest.raises(ValueError, match="at least two classes. 'pets' has cat. Add images"):
        check_classes("pets", ("cat",))
