"""Datasets by name."""

import dataclasses
import difflib

import keras
import numpy as np

from keras_deit.extras import require

SPLITS = ("train", "test")
DIGITS_TEST_EVERY = 5  # the first of every five images of a class is a test image, once and for all


@dataclasses.dataclass(frozen=True)
class ImageData:
    """Labelled images in memory.

    Attributes:
        name: Name of the dataset.
        images: Uint8 array `(examples, height, width, 3)`, pixels in 0..255.
        labels: Integer array `(examples,)`.
        class_names: Names of the classes, in the order of the labels.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple

    @property
    def num_classes(self):
        """Number of classes."""
        return len(self.class_names)

    def resized(self, image_size):
        """The same images at `(image_size, image_size)` pixels, bilinear."""
        if self.images.shape[1:3] == (image_size, image_size):
            return self
        size = (image_size, image_size)
        resized = keras.ops.image.resize(
            self.images.astype("float32"), size, antialias=True, data_format="channels_last"
        )
        images = np.clip(np.round(keras.ops.convert_to_numpy(resized)), 0, 255).astype("uint8")
        return dataclasses.replace(self, images=images)


def load(name="digits", split="train"):
    """Loads a dataset.

    Args:
        name: `"digits"`: the 1,797 handwritten digits, 8×8 pixels, that scikit-learn ships.
        split: `"train"` (1,433 images) or `"test"` (364); the same ones for ever.

    Returns:
        `ImageData`.

    Raises:
        ValueError: If there is no dataset of that name or no such split.
        ImportError: If scikit-learn is not installed.

    Example:

    >>> load("digits", "test").images.shape
    (364, 8, 8, 3)
    """
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {SPLITS}. Received: split={split!r}")
    if name not in _LOADERS:
        nearest = difflib.get_close_matches(str(name), _LOADERS, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(
            f"There is no dataset {name!r}.{hint} This version knows {', '.join(_LOADERS)}; TFDS names, folders of images "
            "and CSV files are still to come. `keras_deit.Distiller` trains on any dataset of yours through `fit`."
        )
    return _LOADERS[name](split)


def _load_digits(split):
    datasets = require("sklearn.datasets", extra="run", purpose="The dataset of digits")
    digits = datasets.load_digits()
    rank_in_class = np.zeros(len(digits.target), int)
    for label in range(10):
        (members,) = np.nonzero(digits.target == label)
        rank_in_class[members] = np.arange(len(members))
    is_test = rank_in_class % DIGITS_TEST_EVERY == 0
    chosen = is_test if split == "test" else ~is_test
    grey = np.round(digits.images[chosen] * (255 / 16)).astype("uint8")  # shipped as 0..16
    images = np.repeat(grey[..., None], 3, axis=-1)
    return ImageData("digits", images, digits.target[chosen], tuple(str(digit) for digit in range(10)))


_LOADERS = {"digits": _load_digits}
