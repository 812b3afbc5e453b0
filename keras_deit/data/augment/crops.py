"""Rectangles of an image: the one that training crops, and the one that it erases."""

import numpy as np

ATTEMPTS = 10
CROP_NUMBERS = ERASING_NUMBERS = 2 * ATTEMPTS + 2  # uniform numbers an image: areas, shapes, place


def crop_attempts(uniform, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)):
    """Draws what a crop is found from once the size of the image is known.

    Args:
        uniform: Array `(images, CROP_NUMBERS)` of random numbers in 0..1.
        scale: Least and largest share of the image's area.
        ratio: Least and largest ratio of width to height.

    Returns:
        Array `(images, CROP_NUMBERS)`: shares of the area, ratios, and the place.
    """
    shares, ratios, place = np.split(uniform, [ATTEMPTS, 2 * ATTEMPTS], axis=1)
    shares = scale[0] + shares * (scale[1] - scale[0])
    return np.concatenate([shares, _log_uniform(ratios, ratio), place], axis=1)


def crop(attempts, height, width, library=np, ratio=(3 / 4, 4 / 3)):
    """The first attempt that lies within the image; if there is none, the middle.

    Args:
        attempts: One row of `crop_attempts`, float64.
        height, width: Of the image in pixels, float64.
        library: `numpy`, or `tensorflow` within a graph; both come to the same rectangle.
        ratio: As given to `crop_attempts`.

    Returns:
        `(top, left, height, width)` in pixels, within the image.

    Example:

    >>> [int(side) for side in crop(np.full(22, 0.5), 200.0, 100.0)]
    [30, 15, 141, 71]

    Reference:
        Szegedy et al., 2014 (arXiv 1409.4842), section 6; torchvision's `RandomResizedCrop`, its middle crop included.
    """
    areas, ratios, place = attempts[:ATTEMPTS] * (height * width), attempts[ATTEMPTS:-2], attempts[-2:]
    heights, widths = library.round(library.sqrt(areas / ratios)), library.round(library.sqrt(areas * ratios))
    fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
    first = library.argmax(library.where(fits, 1, 0))
    middle_height = library.minimum(height, library.round(width / ratio[0]))
    middle_width = library.minimum(width, library.round(height * ratio[1]))
    crop_height = library.where(fits[first], heights[first], middle_height)
    crop_width = library.where(fits[first], widths[first], middle_width)
    top = library.where(fits[first], place[0] * (height - crop_height + 1), (height - crop_height) / 2)
    left = library.where(fits[first], place[1] * (width - crop_width + 1), (width - crop_width) / 2)
    return library.floor(top), library.floor(left), crop_height, crop_width


def erased_boxes(uniform, height, width, area=(0.02, 1 / 3), aspect=(0.3, 1 / 0.3)):
    """Draws the rectangles that random erasing fills with noise.

    Args:
        uniform: Array `(images, ERASING_NUMBERS)` of random numbers in 0..1.
        height, width: Of the images, in pixels.
        area: Least and largest share of the image's area.
        aspect: Least and largest ratio of height to width.

    Returns:
        int32 array `(images, 4)`: top, left, height, width in pixels; the last two are 0 where no attempt fits.

    Example:

    >>> erased_boxes(np.full((1, 22), 0.5), 100, 100).tolist()
    [[29, 29, 42, 42]]

    Reference:
        Zhong et al., 2017 (arXiv 1708.04896), algorithm 1; timm's `RandomErasing`, whose rectangle is smaller than the
        image on both sides.
    """
    areas, aspects, place = np.split(uniform, [ATTEMPTS, 2 * ATTEMPTS], axis=1)
    areas = (area[0] + areas * (area[1] - area[0])) * (height * width)
    aspects = _log_uniform(aspects, aspect)
    sides = np.stack([np.round(np.sqrt(areas * aspects)), np.round(np.sqrt(areas / aspects))], axis=-1)
    fits = (sides < (height, width)).all(axis=-1)
    sides = sides[np.arange(len(sides)), fits.argmax(axis=1)] * fits.any(axis=1, keepdims=True)
    corners = np.floor(place * (np.array([height, width]) - sides + 1))
    return np.concatenate([corners, sides], axis=1).astype("int32")


def _log_uniform(uniform, limits):
    low, high = np.log(limits)
    return np.exp(low + uniform * (high - low))
