"""Random crops of training images."""

import numpy as np

ATTEMPTS = 10
NUM_UNIFORMS = 2 * ATTEMPTS + 2  # uniform draws of an image: areas, aspect ratios, position


def log_uniform(uniform, limits):
    """Maps uniform draws in 0..1 to draws between two limits that are uniform in their logarithm."""
    low, high = np.log(limits)
    return np.exp(low + uniform * (high - low))


def crop_attempts(uniform, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)):
    """Draws the attempts that `crop` chooses from once the size of the image is known.

    Args:
        uniform: Array `(images, NUM_UNIFORMS)` of uniform draws in 0..1.
        scale: Smallest and largest area of a crop, as a fraction of the image's area.
        ratio: Smallest and largest aspect ratio, width over height.

    Returns:
        Array `(images, NUM_UNIFORMS)`: areas as fractions, aspect ratios, and the position in 0..1.
    """
    areas, ratios, position = np.split(uniform, [ATTEMPTS, 2 * ATTEMPTS], axis=1)
    areas = scale[0] + areas * (scale[1] - scale[0])
    return np.concatenate([areas, log_uniform(ratios, ratio), position], axis=1)


def crop(attempts, height, width, library=np, ratio=(3 / 4, 4 / 3)):
    """Chooses the first attempt that lies within the image; if none does, the largest central crop with an allowed ratio.

    Args:
        attempts: One row of `crop_attempts`, float64.
        height, width: Size of the image in pixels, float64.
        library: `numpy`, or `tensorflow` within a graph; both give the same rectangle.
        ratio: The value that `crop_attempts` received.

    Returns:
        `(top, left, height, width)` in pixels, within the image.

    Example:

    >>> [int(side) for side in crop(np.full(22, 0.5), 200.0, 100.0)]
    [30, 15, 141, 71]

    Reference:
        Szegedy et al., 2014 (arXiv 1409.4842), section 6; torchvision's `RandomResizedCrop`, its central crop included.
    """
    areas, ratios, position = attempts[:ATTEMPTS] * (height * width), attempts[ATTEMPTS:-2], attempts[-2:]
    heights, widths = library.round(library.sqrt(areas / ratios)), library.round(library.sqrt(areas * ratios))
    fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
    first = library.argmax(library.where(fits, 1, 0))
    central_height = library.minimum(height, library.round(width / ratio[0]))
    central_width = library.minimum(width, library.round(height * ratio[1]))
    crop_height = library.where(fits[first], heights[first], central_height)
    crop_width = library.where(fits[first], widths[first], central_width)
    top = library.where(fits[first], position[0] * (height - crop_height + 1), (height - crop_height) / 2)
    left = library.where(fits[first], position[1] * (width - crop_width + 1), (width - crop_width) / 2)
    return library.floor(top), library.floor(left), crop_height, crop_width
