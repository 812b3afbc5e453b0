"""Image sizes: how arguments give them, and the geometry of the centre crop."""

import numpy as np


def height_and_width(image_size):
    """Reads an image size.

    Args:
        image_size: Side of a square image in pixels, or `(height, width)`.

    Returns:
        The pair of integers `(height, width)`.

    Raises:
        ValueError: If `image_size` is neither, or not positive.

    Example:

    >>> height_and_width(224), height_and_width([192, 256])
    ((224, 224), (192, 256))
    """
    sides = np.ravel(image_size)
    if len(sides) not in (1, 2) or not np.issubdtype(sides.dtype, np.integer) or sides.min() < 1:
        raise ValueError(f"`image_size` must be a side in pixels or (height, width). Received: image_size={image_size}")
    return int(sides[0]), int(sides[-1])


def check_crop_ratio(crop_ratio):
    """Checks that a crop ratio is a fraction.

    Args:
        crop_ratio: Fraction of the resized image's shorter side that a centre crop keeps.

    Raises:
        ValueError: If it is not above 0 and at most 1.

    Example:

    >>> check_crop_ratio(87.5)
    Traceback (most recent call last):
    ValueError: `crop_ratio` must be above 0 and at most 1. Received: crop_ratio=87.5
    """
    if not 0 < crop_ratio <= 1:
        raise ValueError(f"`crop_ratio` must be above 0 and at most 1. Received: crop_ratio={crop_ratio}")


def before_centre_crop(height, width, image_size, crop_ratio, squash=False, library=np):
    """Computes the size that an image is resized to before the centre crop of evaluation.

    Args:
        height, width: Size of the image in pixels, numbers or, for a library of tensors, float64 tensors.
        image_size: `(height, width)` of the crop in pixels.
        crop_ratio: Fraction of the resized image's shorter side that the crop keeps.
        squash: Whether the aspect ratio of the crop replaces that of the image.
        library: `numpy`, or within a graph `tensorflow` or `keras.ops`.

    Returns:
        `[height, width]` in pixels, with the aspect ratio of the image, or with `squash` that of the crop: integers; for
        a library of tensors float64 tensors, or with `squash` numbers.

    Example:

    >>> before_centre_crop(300, 500, (224, 224), 0.875)
    [256, 426]
    >>> before_centre_crop(300, 500, (224, 224), 0.875, squash=True)
    [256, 256]

    Reference:
        torchvision's `Resize` with a single number, which rounds the longer side down to whole pixels.
    """
    rows, columns = (float(int(side / crop_ratio)) for side in image_size)
    resized = [rows, columns]
    if not squash:  # one of the two is the side of the crop; the other is at least as long
        resized = [
            library.maximum(library.floor(columns * height / width), rows),
            library.maximum(library.floor(rows * width / height), columns),
        ]
    return [_whole(side, library) for side in resized]


STRIP = 16


def is_strip(resized, image_size):
    """Tells whether an image is so long and narrow that the whole of it is too large before the centre crop.

    Args:
        resized: `(height, width)` of the resized image, numbers or tensors.
        image_size: `(height, width)` of the crop in pixels.

    Returns:
        A boolean: whether a side of the resized image has more than `STRIP` times the pixels of the crop's.

    Example:

    >>> is_strip((256, 426), (224, 224)), is_strip((256, 384000), (224, 224))
    (False, True)
    """
    return (resized[0] > STRIP * image_size[0]) | (resized[1] > STRIP * image_size[1])


def centre_crop_offset(resized, size, library=np):
    """Computes where a centre crop begins along one axis.

    Args:
        resized: Side of the resized image in pixels, a number or, for a library of tensors, a float64 tensor.
        size: Side of the crop in pixels.
        library: As for `before_centre_crop`.

    Returns:
        The index of the crop's first row or column, an integer or a float64 tensor.

    Example:

    >>> centre_crop_offset(256, 224)
    16

    Reference:
        torchvision's `CenterCrop`, which rounds halves to the even integer.
    """
    return _whole(library.round((resized - size) / 2), library)


def _whole(side, library):
    return int(side) if library is np else side
