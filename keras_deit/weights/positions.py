"""Positions for another number of patches, as PyTorch resizes them."""

import numpy as np

BICUBIC = -0.75  # PyTorch's; TensorFlow's and JAX's kernel has -0.5


def resize_positions(positions, source, target):
    """Resizes the positions of patches, bicubic without antialiasing.

    Args:
        positions: Array `(1, height * width, features)`.
        source: `(height, width)` in patches.
        target: The wanted `(height, width)`.

    Returns:
        Array `(1, target height * target width, features)` of the dtype of `positions`.

    Example:

    >>> resize_positions(np.ones((1, 4, 3)), (2, 2), (3, 4)).shape
    (1, 12, 3)

    Reference:
        `torch.nn.functional.interpolate(mode="bicubic")`, which the official fine-tuning used; the kernel: Keys, 1981, Cubic
        convolution interpolation for digital image processing, equation 4 with another a.
    """
    if tuple(source) == tuple(target):
        return positions
    grid = positions.reshape(*source, -1).astype("float64")
    rows, columns = (_matrix(old, new) for old, new in zip(source, target, strict=True))
    resized = np.einsum("yh,xw,hwc->yxc", rows, columns, grid)
    return resized.reshape(1, -1, positions.shape[-1]).astype(positions.dtype)


def _matrix(source, target):
    """Weights `(target, source)` of the four nearest positions; beyond the border the last one is repeated."""
    matrix = np.zeros((target, source))
    centres = (np.arange(target) + 0.5) * source / target - 0.5
    for row, centre in enumerate(centres):
        first = int(np.floor(centre)) - 1
        for position in range(first, first + 4):
            matrix[row, np.clip(position, 0, source - 1)] += _kernel(abs(centre - position))
    return matrix


def _kernel(distance):
    if distance <= 1:
        return (BICUBIC + 2) * distance**3 - (BICUBIC + 3) * distance**2 + 1
    if distance < 2:
        return BICUBIC * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return 0.0
