"""Figures of a classifier, computed from its outputs. Pure functions of NumPy arrays."""

import numpy as np


def ranks(outputs, classes):
    """Counts how many classes come before the right one. Of equal outputs the first one comes first, as in `argmax`.

    Args:
        outputs: Array `(images, classes)`: logits or probabilities.
        classes: Integers `(images,)`: the right classes.

    Returns:
        Integer array `(images,)`; 0 where the prediction is right.

    Example:

    >>> ranks(np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.1]]), np.array([2, 1])).tolist()
    [1, 1]
    """
    right = np.take_along_axis(outputs, classes[:, None], axis=-1)
    is_before = np.arange(outputs.shape[-1]) < classes[:, None]
    return np.sum((outputs > right) | ((outputs == right) & is_before), axis=-1)


def top_accuracy(of_images, k=1):
    """Computes the fraction of the images whose right class is among the `k` most probable ones.

    Args:
        of_images: What `ranks` returns.
        k: Number of classes.

    Returns:
        A number in 0..1.

    Example:

    >>> top_accuracy(np.array([0, 1, 4, 9]), k=5)
    0.75
    """
    return float(np.mean(of_images < k))


def confusion_matrix(labels, predicted, shape):
    """Counts how often each class was predicted for the images of each class.

    Args:
        labels, predicted: Integers `(images,)`: rows and columns of the matrix.
        shape: Numbers of rows and columns.

    Returns:
        Integer array of this shape.

    Example:

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], (2, 2)).tolist()
    [[1, 1], [0, 1]]
    """
    counts = np.zeros(shape, int)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def precision_and_recall(confusion):
    """Computes precision and recall of each class.

    Args:
        confusion: What `confusion_matrix` returns. It may have more columns than rows, for predictions of other classes.

    Returns:
        Two lists with a number in 0..1 for each class. The precision of a class that is never predicted is None, as is the
        recall of a class without images.

    Example:

    >>> precision_and_recall(np.array([[1, 1, 0], [0, 1, 2], [0, 0, 0]]))
    ([1.0, 0.5, 0.0], [0.5, 0.3333333333333333, None])
    """
    right = np.diagonal(confusion)
    predictions, images = confusion[:, : len(confusion)].sum(axis=0), confusion.sum(axis=1)
    return _shares(right, predictions), _shares(right, images)


def as_probabilities(outputs):
    """Computes probabilities from the outputs of a model.

    Args:
        outputs: Float array `(images, classes)`: logits, or probabilities that sum to 1 up to the rounding of bfloat16. The
            latter are taken as they are.

    Returns:
        float64 array of the same shape.

    Example:

    >>> as_probabilities(np.array([[0.0, 0.0]])).tolist(), as_probabilities(np.array([[0.9, 0.1]])).tolist()
    ([[0.5, 0.5]], [[0.9, 0.1]])
    """
    outputs = outputs.astype("float64")
    if outputs.min(initial=0) >= 0 and np.allclose(outputs.sum(axis=-1), 1, atol=1e-2):
        return outputs
    exponentials = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _shares(parts, wholes):
    return [int(part) / int(whole) if whole else None for part, whole in zip(parts, wholes, strict=True)]
