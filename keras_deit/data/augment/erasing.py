"""Random erasing: a rectangle of a training image is filled with noise."""

import numpy as np

from keras_deit.data.augment.crops import log_uniform

ATTEMPTS = 10
NUM_UNIFORMS = 2 * ATTEMPTS + 2  # uniform draws of an image: areas, aspect ratios, position
NOISE_SIZE = 2**22  # values in the table that rectangles are filled from


def erased_boxes(uniform, height, width, area=(0.02, 1 / 3), aspect=(0.3, 1 / 0.3)):
    """Draws the rectangles that random erasing fills with noise.

    Args:
        uniform: Array `(images, NUM_UNIFORMS)` of uniform draws in 0..1.
        height, width: Size of the images in pixels.
        area: Smallest and largest area of a rectangle, as a fraction of the image's area.
        aspect: Smallest and largest aspect ratio, height over width.

    Returns:
        int32 array `(images, 4)`: top, left, height and width in pixels. Height and width are 0 if no attempt fits.

    Example:

    >>> erased_boxes(np.full((1, 22), 0.5), 100, 100).tolist()
    [[29, 29, 42, 42]]

    Reference:
        Zhong et al., 2017 (arXiv 1708.04896), algorithm 1; timm's `RandomErasing`, whose rectangle is smaller than the
        image on both sides.
    """
    areas, aspects, position = np.split(uniform, [ATTEMPTS, 2 * ATTEMPTS], axis=1)
    areas = (area[0] + areas * (area[1] - area[0])) * (height * width)
    aspects = log_uniform(aspects, aspect)
    sides = np.stack([np.round(np.sqrt(areas * aspects)), np.round(np.sqrt(areas / aspects))], axis=-1)
    fits = (sides < (height, width)).all(axis=-1)
    sides = sides[np.arange(len(sides)), fits.argmax(axis=1)] * fits.any(axis=1, keepdims=True)
    corners = np.floor(position * (np.array([height, width]) - sides + 1))
    return np.concatenate([corners, sides], axis=1).astype("int32")


def num_noise_offsets(image_size):
    """Counts the offsets in the noise table from which an image can be filled.

    Args:
        image_size: `(height, width)` of the images in pixels.

    Returns:
        Positive integer.

    Raises:
        ValueError: If the images are too large for the table.
    """
    offsets = NOISE_SIZE - 3 * image_size[0] * image_size[1]
    if offsets < 0:
        raise ValueError(
            f"Erasing fills images of at most {NOISE_SIZE // 3:,} pixels. Received: image_size={image_size}"
        )
    return offsets


def noise_table():
    """Returns standard normal values `(NOISE_SIZE,)`, float32, the same in every run."""
    return np.random.default_rng(0).standard_normal(NOISE_SIZE, dtype="float32")
