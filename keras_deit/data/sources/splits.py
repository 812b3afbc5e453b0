"""Training and test splits: their names, and the division of a dataset that has none."""

import numpy as np

SPLITS = ("train", "test")
SPLIT_NAMES = {
    "train": ("train", "training"),
    "test": ("val", "valid", "validation", "test"),
}  # of folders and in tables
TEST_EVERY = 5  # a dataset without splits: the first of every five images of a class is a test image


def is_in_split(labels, split):
    """Divides a dataset that has no splits: the first of every five examples of a class belongs to the test split.

    Args:
        labels: Integer array `(examples,)`.
        split: `"train"` or `"test"`.

    Returns:
        Boolean array `(examples,)`: which examples belong to the split. The division depends on the labels alone, so it is
        the same in every run.

    Example:

    >>> is_in_split([0, 0, 1, 0], "test").tolist()
    [True, False, True, False]
    """
    labels = np.asarray(labels)
    rank_in_class = np.zeros(len(labels), int)
    for label in np.unique(labels):
        (members,) = np.nonzero(labels == label)
        rank_in_class[members] = np.arange(len(members))
    return (rank_in_class % TEST_EVERY == 0) == (split == "test")


def shorten(names):
    """Lists names for a message, at most ten of them.

    Example:

    >>> shorten(["cat", "dog"])
    'cat, dog'
    """
    names = [str(name) for name in names]
    return ", ".join(names) if len(names) <= 10 else f"{', '.join(names[:8])}, ... ({len(names)} in all)"
