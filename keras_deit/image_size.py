"""How people give the size of an image."""

import numpy as np


def height_and_width(image_size):
    """Reads an image size.

    Args:
        image_size: Side in pixels, or `(height, width)`.

    Returns:
        The pair of integers `(height, width)`.

    Raises:
        ValueError: If it is neither, or not positive.

    Example:

    >>> height_and_width(224), height_and_width([192, 256])
    ((224, 224), (192, 256))
    """
    sides = np.ravel(image_size)
    if len(sides) not in (1, 2) or not np.issubdtype(sides.dtype, np.integer) or sides.min() < 1:
        raise ValueError(f"`image_size` must be a side in pixels or (height, width). Received: image_size={image_size}")
    return int(sides[0]), int(sides[-1])
