"""The classes of a dataset among those of a model."""

import dataclasses

import numpy as np

from keras_deit.imaging.class_names import find_classes, only_count
from keras_deit.runtime.shorten import shorten


@dataclasses.dataclass(frozen=True)
class ClassMap:
    """Where the classes of a dataset stand among those of a model.

    Attributes:
        names: Tuple of the names of the dataset's classes; at the end those of the model's other classes.
        num_ours: Number of the dataset's classes.
        theirs: Integer array with the model's class of each name.
        note: A sentence on how the classes were matched; None if both have the same names in the same order.
    """

    names: tuple
    num_ours: int
    theirs: np.ndarray
    note: str | None

    @property
    def ours(self):
        """Integer array with the position in `names` of each class of the model."""
        return np.argsort(self.theirs)

    @property
    def has_others(self):
        """Whether the model has classes that are not in the dataset."""
        return len(self.names) > self.num_ours


def map_classes(theirs, num_theirs, ours):
    """Finds the classes of a dataset among those of a model, by name where the model keeps the names.

    Args:
        theirs: Names of the model's classes, or None.
        num_theirs: Number of the model's classes.
        ours: Names of the dataset's classes.

    Returns:
        A `ClassMap`.

    Raises:
        ValueError: If the dataset has a class that the model lacks, or the names are unknown and the numbers differ.

    Example:

    >>> found = map_classes(("cat", "dog", "bird"), 3, ("bird", "cat"))
    >>> found.names, found.theirs.tolist(), found.ours.tolist()
    (('bird', 'cat', 'dog'), [2, 0, 1], [1, 2, 0])
    """
    if theirs is None:
        return _by_position(num_theirs, ours)
    positions = find_classes(theirs, ours)
    lists = f"weights: {shorten(theirs)}; dataset: {shorten(ours)}"
    if positions is None:
        raise ValueError(
            "The classes of the dataset must be among those of the weights, under the same names. Received: "
            f"{len(ours):,} classes of the dataset and {num_theirs:,} of the weights, with other names ({lists}). Pass "
            "weights that were trained on these classes, or rename the classes of the dataset."
        )
    others = np.setdiff1d(np.arange(num_theirs), positions)
    note = None
    if len(others):
        note = (
            f"The dataset has {len(ours):,} of the {num_theirs:,} classes of the weights, matched by name. A prediction of "
            "another class is wrong."
        )
    elif only_count(theirs) != only_count(ours):
        note = (
            f"Either the weights or the dataset have only numbers as class names: the same order is assumed ({lists})."
        )
    elif not np.array_equal(positions, np.arange(num_theirs)):
        note = f"The weights have the classes of the dataset in another order ({lists}), matched by name."
    names = (*ours, *(theirs[index] for index in others))
    return ClassMap(names, len(ours), np.concatenate([positions, others]), note)


def _by_position(num_theirs, ours):
    if num_theirs != len(ours):
        raise ValueError(
            "The weights have no class names, so the dataset must have the same number of classes. Received: "
            f"{num_theirs:,} classes of the weights and {len(ours):,} of the dataset. Pass weights that were trained on "
            "these classes."
        )
    note = "The weights have no class names: the classes are assumed to be those of the dataset, in the same order."
    return ClassMap(tuple(ours), num_theirs, np.arange(num_theirs), note)
