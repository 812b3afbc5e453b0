"""Lists of class names in another order or spelling."""

import numpy as np
import pytest

from keras_deit.data import ImageData, ImageFiles, ImageRecords, load
from keras_deit.imaging import imagenet
from keras_deit.imaging.class_names import find_classes, match_classes, names_in_order

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


@pytest.mark.parametrize(
    "counted", [("0", "1", "2"), ("LABEL_0", "LABEL_1", "LABEL_2"), ("class 0", "class 1", "class 2")]
)
def test_names_that_only_count_are_unknown(counted):
    names = ("airplane", "bird", "cat")
    for theirs, ours in ((names, counted), (counted, names), (counted, ("0", "1", "2"))):
        np.testing.assert_array_equal(match_classes(theirs, ours), [0, 1, 2])


def test_numbers_in_another_order_are_names():
    np.testing.assert_array_equal(match_classes(("0", "2", "1"), ("0", "1", "2")), [0, 2, 1])
    assert match_classes(("1", "2", "3"), ("cat", "dog", "bird")) is None  # counted from 1: may be the names of folders


def test_the_spelling_makes_no_other_class():
    theirs = ("tench, Tinca tinca", "great white shark, white shark", "black-and-tan coonhound")
    np.testing.assert_array_equal(
        match_classes(theirs, ("Black_and_Tan_Coonhound", "great_white_shark", "tench")), [2, 1, 0]
    )
    np.testing.assert_array_equal(match_classes(("tench",), ("n01440764",)), [0])
    assert match_classes(("apple, healthy", "potato, sick"), ("apple, sick", "potato, healthy")) is None
    np.testing.assert_array_equal(match_classes(("A", "a"), ("a", "A")), [1, 0])  # exact names count first


def test_classes_of_imagenet_match_its_synsets_and_its_first_synonyms_in_any_order():
    """Both crane have one name, so that only their synsets tell them apart."""
    names, synsets = imagenet.class_names(), imagenet.synsets()
    order = np.random.default_rng(0).permutation(1000)
    shuffled = [synsets[index] for index in order]
    assert names[134] == names[517] == "crane"
    np.testing.assert_array_equal(match_classes(names, shuffled), order)
    np.testing.assert_array_equal(match_classes(synsets, shuffled), order)
    np.testing.assert_array_equal(match_classes(shuffled, names), np.argsort(order))
    first = [name.split(",")[0].replace(" ", "_") for name in names]  # as Keras and torchvision name them
    np.testing.assert_array_equal(match_classes(names, first), np.arange(1000))
    assert match_classes([names[index] for index in order], first) is None  # which crane?


def test_the_unicode_forms_of_a_name_are_one_class():
    """macOS writes the names of folders with each accent as a letter of its own."""
    theirs = ("\u00c4pfel", "\u00d6l", "caf\u00e9", "dog")
    ours = ("dog", "cafe\u0301", "O\u0308l", "A\u0308pfel")
    np.testing.assert_array_equal(match_classes(theirs, ours), [3, 2, 1, 0])
    np.testing.assert_array_equal(match_classes(ours, theirs), [3, 2, 1, 0])
    both = ("caf\u00e9", "cafe\u0301", "dog")  # exact names count first
    np.testing.assert_array_equal(match_classes(both, ("dog", "cafe\u0301", "caf\u00e9")), [2, 1, 0])


def test_names_are_read_in_their_order():
    assert names_in_order(["b", 3, np.int64(4), np.str_("a")]) == ("b", "3", "4", "a")
    assert names_in_order(np.array(["b", "a"])) == ("b", "a")


@pytest.mark.parametrize(
    "names", [{"dog": 1, "cat": 0}, {0: "cat"}, {"cat", "dog"}, "cat,dog", b"cat", [b"cat"], [1.5], [None, "cat"]]
)
def test_names_without_the_order_of_the_labels_are_refused(names):
    with pytest.raises(
        ValueError, match="`class_names` must be a list of strings or integers in the order of the labels"
    ):
        names_in_order(names)
    makers = (
        lambda: ImageData("mine", [], [], names),
        lambda: ImageFiles("mine", (), [], names),
        lambda: ImageRecords("mine", [], names),
        lambda: load("digits", class_names=names),
    )
    for make in makers:
        with pytest.raises(ValueError, match="`class_names` must be a list"):
            make()


def test_classes_are_found_in_a_longer_list():
    theirs = ("black-and-tan coonhound", "tench, Tinca tinca", "cat", "crane", "crane", "0", "1")
    np.testing.assert_array_equal(find_classes(theirs, ("n01440764", "cat")), [1, 2])
    np.testing.assert_array_equal(find_classes(theirs, ("Black_and_Tan_Coonhound", "tench")), [0, 1])
    np.testing.assert_array_equal(find_classes(theirs, ("1", "0")), [6, 5])
    np.testing.assert_array_equal(find_classes(imagenet.class_names(), imagenet.synsets()[130:140]), range(130, 140))
    np.testing.assert_array_equal(find_classes(("cat", "dog"), ("0", "1")), [0, 1])  # as many: as `match_classes`
    for ours in (("crane", "cat"), ("cat", "horse"), ("cat", "Cat"), ("tench, another fish",)):
        assert find_classes(theirs, ours) is None
    assert find_classes(imagenet.class_names(), ("crane", "tench")) is None  # two of the classes have this name
    assert find_classes(("cat",), ("cat", "dog")) is None
