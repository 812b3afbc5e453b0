"""Labelled images in memory."""

import dataclasses

import keras
import numpy as np

from keras_deit.data.sources.labelled_images import LabelledImages, class_indices, indices_of
from keras_deit.imaging.class_names import names_in_order
from keras_deit.imaging.image_files import as_rgb, as_rgb_image, to_uint8
from keras_deit.imaging.pixel_range import check_pixels
from keras_deit.imaging.processor import ImageProcessor
from keras_deit.imaging.sizes import height_and_width
from keras_deit.runtime.concrete import concrete_values

RESIZED_BY = "bilinear"  # filter of `ImageData.resized`


@dataclasses.dataclass(frozen=True)
class ImageData(LabelledImages):
    """Labelled images in memory.

    Attributes:
        name: Name of the dataset.
        images: Pixels in 0..255 `(examples, height, width, 3)`, or a list of images of several sizes. Greyscale
            `(examples, height, width)`, alpha, 16 bits, floats and Pillow images are converted to RGB of uint8, see
            `keras_deit.imaging.image_files.as_rgb`.
        labels: Integers `(examples,)` or `(examples, 1)`, which become an int64 array `(examples,)`; -1 for an unlabelled
            image.
        class_names: Names of the classes, in the order of the labels; a sequence of strings, which becomes a tuple.

    Raises:
        ValueError: If the numbers of images and labels differ, a label is not a class index, or the pixels have another
            range or shape.

    Example:

    >>> data = ImageData("noise", np.zeros((4, 32, 32, 3), "uint8"), np.array([0, 1, 0, -1]), ("cat", "dog"))
    >>> len(data), data.num_classes, data.image_size
    (4, 2, (32, 32))
    """

    name: str = dataclasses.field()
    images: np.ndarray = dataclasses.field()
    labels: np.ndarray = dataclasses.field()
    class_names: tuple = dataclasses.field()

    in_memory = True

    def __post_init__(self):
        if len(self.images) != len(self.labels):
            raise ValueError(
                f"Each image of {self.name!r} needs a label (-1 for none). Received: {len(self.images)} images and "
                f"{len(self.labels)} labels"
            )
        object.__setattr__(self, "images", _uint8_images(self.images, self.name))
        object.__setattr__(self, "class_names", names_in_order(self.class_names))
        object.__setattr__(self, "labels", class_indices(self.name, self.labels, self.num_classes))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.images[index], self.labels[index]

    @property
    def image_size(self):
        """`(height, width)` that all images share; None for a list of images."""
        return self.images.shape[1:3] if isinstance(self.images, np.ndarray) else None

    def select(self, indices):
        """Returns the dataset with some of its examples, see `LabelledImages.select`."""
        indices = indices_of(indices, len(self))
        is_array = isinstance(self.images, np.ndarray)
        images = self.images[indices] if is_array else [self.images[index] for index in indices]
        return dataclasses.replace(self, images=images, labels=self.labels[indices])

    def resized(self, image_size):
        """Returns the dataset with images of another size, resized by Pillow's bilinear filter, whatever their aspect ratio.

        Args:
            image_size: Side in pixels, or `(height, width)`.

        Returns:
            `ImageData`; the dataset itself if its images have that size already, or several sizes.
        """
        size = height_and_width(image_size)
        if self.image_size in (None, size):
            return self
        resize = ImageProcessor(size, 1.0, (0, 0, 0), 3 * (1 / 255,), interpolation=RESIZED_BY, squash=True)
        pixels = np.round(keras.ops.convert_to_numpy(resize(self.images))).astype("uint8")
        return dataclasses.replace(self, images=pixels)

    def _digest(self):
        digest = super()._digest()
        for image in self.images:
            digest.update(np.ascontiguousarray(image).tobytes())
        return digest


def _uint8_images(images, name):
    """The images as uint8 RGB pixels: an array of all, or a list."""
    if isinstance(images, (list, tuple)):
        images = [_named_rgb(image, index, name) for index, image in enumerate(images)]
        check_pixels(images, f"The images of {name!r}")
        return [to_uint8(image) for image in images]
    images = concrete_values(images)
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[-1] not in (1, 2, 3, 4)):
        raise ValueError(
            f"The images of {name!r} must have the shape (examples, height, width) or (examples, height, width, channels). "
            f"Received: shape={images.shape}"
        )
    images = as_rgb(images[..., None] if images.ndim == 3 else images)
    check_pixels(images, f"The images of {name!r}")
    return to_uint8(images)


def _named_rgb(image, index, name):
    try:
        return as_rgb_image(image)
    except ValueError as error:
        raise ValueError(f"image {index} of {name!r}: {error}") from error
