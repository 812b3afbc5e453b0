"""The validation split, and subsets with a few labelled images of each class."""

import numpy as np

VALIDATION_FRACTION = 0.2
MAX_VALIDATION = 2000  # images
_VALIDATION_SEED = 20


def validation_indices(labels):
    """Chooses the validation images among the training images: the same in every run, with the same share of each class.

    Args:
        labels: Integers `(examples,)`, -1 for an unlabelled image.

    Returns:
        Sorted integer array: a fifth of the images of each class, or less if that were more than 2,000 images.
    """
    counts = np.bincount(labels[labels >= 0])
    fraction = min(VALIDATION_FRACTION, MAX_VALIDATION / counts.sum())
    return _drawn(labels, np.maximum(1, (fraction * counts).astype(int)), _VALIDATION_SEED)


def labelled_indices(labels, per_class, seed):
    """Chooses the images that keep their labels.

    Args:
        labels: Integers `(examples,)`, -1 for an unlabelled image.
        per_class: Number of images of each class; None means all labelled images.
        seed: Integer. A smaller subset of the same seed is contained in a larger one.

    Returns:
        Sorted integer array.

    Raises:
        ValueError: If a class has fewer images.

    Example:

    >>> labels = np.array([0, 1, 0, 1, 0, -1])
    >>> chosen = labelled_indices(labels, 2, seed=0)
    >>> labels[chosen].tolist().count(0), labels[chosen].tolist().count(1)
    (2, 2)
    """
    if per_class is None:
        return np.flatnonzero(labels >= 0)
    counts = np.bincount(labels[labels >= 0])
    if counts.min() < per_class:
        raise ValueError(f"A class has only {counts.min()} images. Received: {per_class} labelled images per class")
    return _drawn(labels, np.full(len(counts), per_class), seed)


def _drawn(labels, counts, seed):
    """Draws `counts[label]` images of each class."""
    order = np.random.default_rng(seed).permutation(len(labels))
    chosen = [order[labels[order] == label][:count] for label, count in enumerate(counts)]
    return np.sort(np.concatenate(chosen))
