"""Training and test splits: their names, and the division of a dataset that has none."""

import re

import numpy as np

from keras_deit.runtime.shorten import shorten

# Words for the splits of a dataset, in names of folders, in tables and in TFDS.
SPLIT_WORDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
TEST_EVERY = 5  # a dataset without splits: the first of every five images of a class is a test image


def split_of_name(name):
    """Tells which split a name stands for, whatever its case: as a whole, or with something before or after.

    Args:
        name: Name of a folder, or a cell of a table.

    Returns:
        `"train"`, `"val"` or `"test"`; None for any other name, and for one that names two splits.

    Example:

    >>> [split_of_name(name) for name in ("TRAIN", "x_test", "seg_train", "ValidationSet", "train2017", "cat")]
    ['train', 'test', 'train', 'val', 'train', None]
    """
    words = re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
    stems = {re.sub("(set|data|images|imgs)$", "", word.casefold()) for word in words}
    named = [split for split, synonyms in SPLIT_WORDS.items() if stems & set(synonyms)]
    return named[0] if len(named) == 1 else None


def is_in_split(labels, split, keys=None):
    """Divides a dataset that has no splits: the first of every five examples of a class belongs to the test split.

    Args:
        labels: Integer array `(examples,)`.
        split: `"train"` or `"test"`.
        keys: Sequence that has equal items for equal examples, which stay together; None means that all differ.

    Returns:
        Boolean array `(examples,)`: which examples belong to the split. The division depends on the arguments alone, so it
        is the same in every run.

    Example:

    >>> is_in_split([0, 0, 1, 0], "test").tolist()
    [True, False, True, False]
    """
    labels = np.asarray(labels)
    first = np.arange(len(labels)) if keys is None else _first_equal(keys)
    is_first = first == np.arange(len(labels))
    rank_in_class = np.zeros(len(labels), int)
    for label in np.unique(labels):
        (members,) = np.nonzero((labels == label) & is_first)
        rank_in_class[members] = np.arange(len(members))
    return (rank_in_class[first] % TEST_EVERY == 0) == (split == "test")


def divide(name, labels, split, class_names, keys=None):
    """Divides a dataset that has no splits like `is_in_split`, and checks that enough images are left.

    Args:
        name: Name or path of the dataset.
        labels, split, keys: See `is_in_split`.
        class_names: Names of the classes in the order of the labels.

    Returns:
        Boolean array `(examples,)`.

    Raises:
        ValueError: If a class has no training image, or a split no image.
    """
    is_test = is_in_split(labels, "test", keys)
    masks = {"train": ~is_test, "test": is_test}
    lost = sorted(set(labels[labels >= 0]) - set(labels[masks["train"]]))
    if lost:
        raise ValueError(
            f"{str(name)!r} has no image left for the train split of the classes "
            f"{shorten(class_names[label] for label in lost)}: a fifth of the images, at least one of each class, becomes "
            "the test split, so a class needs two images. Add images, leave the classes out, or divide the dataset into "
            "splits yourself."
        )
    for one, mask in masks.items():
        if not mask.any():
            raise ValueError(f"{str(name)!r} has no image left for the {one} split. Add images.")
    return masks[split]


def _first_equal(keys):
    """Index of the first of the examples that each example is equal to, itself included."""
    first = {}
    return np.array([first.setdefault(key, index) for index, key in enumerate(keys)], int)
