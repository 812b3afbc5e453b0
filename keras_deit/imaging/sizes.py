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


def before_centre_crop(height, width, image_size, crop_ratio):
    """The size that an image is resized to before evaluation cuts out its middle.

    Args:
        height, width: Of the image, in pixels.
        image_size: `(height, width)` of the crop.
        crop_ratio: Share of the resized image that the crop keeps along its shorter side.

    Returns:
        `[height, width]` in pixels, of the image's own shape.

    Example:

    >>> before_centre_crop(300, 500, (224, 224), 0.875)
    [256, 426]

    Reference:
        torchvision's `Resize` with one number, which cuts off what is no whole pixel.
    """
    wanted = [int(side / crop_ratio) for side in image_size]
    if wanted[0] * width >= wanted[1] * height:  # the side that the other one follows from
        wanted[1] = int(wanted[0] * width / height)
    else:
        wanted[0] = int(wanted[1] * height / width)
    return wanted
