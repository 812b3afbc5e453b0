"""Random shifts of training images."""

import numpy as np


def random_shift(images, pixels, rng):
    """Shifts each image by a random number of pixels along each axis; the border repeats its nearest pixels.

    Args:
        images: Array `(batch, height, width, channels)`.
        pixels: Largest shift along each axis.
        rng: `numpy.random.Generator`.

    Returns:
        Array of the same shape and dtype.

    Example:

    >>> random_shift(np.ones((2, 4, 4, 3)), pixels=1, rng=np.random.default_rng(0)).shape
    (2, 4, 4, 3)
    """
    batch, height, width, _ = images.shape
    rows = np.arange(height) + rng.integers(-pixels, pixels + 1, size=(batch, 1))
    columns = np.arange(width) + rng.integers(-pixels, pixels + 1, size=(batch, 1))
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    return images[np.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]]
