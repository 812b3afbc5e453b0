"""The handwritten digits that scikit-learn ships."""

import numpy as np

from keras_deit.data.sources.image_data import ImageData
from keras_deit.data.sources.splits import is_in_split
from keras_deit.runtime.optional import require


def load_digits(split):
    """Loads the 1,797 handwritten digits of scikit-learn as RGB images of 8×8 pixels.

    Args:
        split: `"train"` (1,433 images) or `"test"` (364 images).

    Returns:
        `ImageData` with 10 classes.
    """
    digits = require("sklearn.datasets", extra="run", purpose="The dataset of digits").load_digits()
    chosen = is_in_split(digits.target, split)
    grey = np.round(digits.images[chosen] * (255 / 16)).astype("uint8")  # scikit-learn's pixels lie in 0..16
    images = np.repeat(grey[..., None], 3, axis=-1)
    return ImageData("digits", images, digits.target[chosen], tuple(str(digit) for digit in range(10)))
