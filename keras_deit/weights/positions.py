"""Resizing position embeddings to another number of patches, as PyTorch does."""

import numpy as np

from keras_deit.imaging.kernels import cubic_kernel

PYTORCH_SLOPE = -0.75  # of the bicubic kernel; it is -0.5 in TensorFlow and JAX


def resize_positions(positions, source, target):
    """Resizes the position embeddings of the patches, bicubic without antialiasing.

    Args:
        positions: Array `(1, rows * columns, features)`.
        source: `(rows, columns)` of `positions`.
        target: `(rows, columns)` of the result.

    Returns:
        Array `(1, rows * columns, features)` for the target's rows and columns, of the dtype of `positions`.

    Example:

    >>> resize_positions(np.ones((1, 4, 3)), (2, 2), (3, 4)).shape
    (1, 12, 3)

    Reference:
        `torch.nn.functional.interpolate(mode="bicubic")`, which the official fine-tuning uses.
    """
    if tuple(source) == tuple(target):
        return positions
    grid = positions.reshape(*source, -1).astype("float64")
    rows, columns = (_matrix(old, new) for old, new in zip(source, target, strict=True))
    resized = np.einsum("yh,xw,hwc->yxc", rows, columns, grid)
    return resized.reshape(1, -1, positions.shape[-1]).astype(positions.dtype)


def _matrix(source, target):
    """Returns the weights `(target, source)` of the four nearest positions; the outermost are repeated beyond the border."""
    matrix = np.zeros((target, source))
    centres = (np.arange(target) + 0.5) * source / target - 0.5
    for row, centre in enumerate(centres):
        first = int(np.floor(centre)) - 1
        nearest = np.arange(first, first + 4)
        np.add.at(matrix[row], nearest.clip(0, source - 1), cubic_kernel(np.abs(centre - nearest), PYTORCH_SLOPE))
    return matrix
