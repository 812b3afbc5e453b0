"""Rectangles of an image: the one that training crops, and the one that it erases."""

import math

import numpy as np

ATTEMPTS = 10


def draw_crop(rng, height, width, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)):
    """Draws the rectangle that is cropped, and then resized, for training.

    Args:
        rng: `numpy.random.Generator`.
        height, width: Of the image, in pixels.
        scale: Least and largest share of the image's area.
        ratio: Least and largest ratio of width to height.

    Returns:
        `(top, left, height, width)` in pixels, within the image.

    Example:

    >>> draw_crop(np.random.default_rng(0), 10, 10, scale=(1, 1), ratio=(1, 1))
    (0, 0, 10, 10)

    Reference:
        Szegedy et al., 2014 (arXiv 1409.4842), section 6; torchvision's `RandomResizedCrop`, its middle crop included.
    """
    for _ in range(ATTEMPTS):
        area = rng.uniform(*scale) * height * width
        aspect = math.exp(rng.uniform(*np.log(ratio)))
        crop_height, crop_width = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 0 < crop_height <= height and 0 < crop_width <= width:
            return (*_place(rng, height - crop_height, width - crop_width), crop_height, crop_width)
    crop_height = min(height, round(width / ratio[0]))
    crop_width = min(width, round(height * ratio[1]))
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


def draw_erasing(rng, height, width, probability=0.25, area=(0.02, 1 / 3), aspect=(0.3, 1 / 0.3)):
    """Draws the rectangle that random erasing fills with noise.

    Args:
        rng: `numpy.random.Generator`.
        height, width: Of the image, in pixels.
        probability: With which an image is erased.
        area: Least and largest share of the image's area.
        aspect: Least and largest ratio of height to width.

    Returns:
        `(top, left, height, width)` in pixels; height and width are 0 where nothing is erased.

    Example:

    >>> draw_erasing(np.random.default_rng(0), 224, 224, probability=0.0)
    (0, 0, 0, 0)

    Reference:
        Zhong et al., 2017 (arXiv 1708.04896), algorithm 1; timm's `RandomErasing`, whose rectangle is smaller than the
        image on both sides.
    """
    if rng.random() < probability:
        for _ in range(ATTEMPTS):
            pixels = rng.uniform(*area) * height * width
            shape = math.exp(rng.uniform(*np.log(aspect)))
            erased = round(math.sqrt(pixels * shape)), round(math.sqrt(pixels / shape))
            if erased[0] < height and erased[1] < width:
                return (*_place(rng, height - erased[0], width - erased[1]), *erased)
    return 0, 0, 0, 0


def _place(rng, rows, columns):
    return int(rng.integers(rows, endpoint=True)), int(rng.integers(columns, endpoint=True))
