"""How the images of a model must be prepared: the record that is kept with its weights."""

import dataclasses

import numpy as np

from keras_deit.choices import CROP_RATIO, INTERPOLATION
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.imaging.processor import ImageProcessor
from keras_deit.imaging.sizes import height_and_width
from keras_deit.runtime.numpy_numbers import python_number


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How the images of a model must be prepared. The defaults are those of the official evaluation.

    A model stores this object as `model.preprocessing`, and `model.image_processor()` builds the `ImageProcessor` from it.

    Attributes:
        mean, std: Normalisation of pixels in 0..1: one number for each channel, or one number for all three.
        crop_ratio: Fraction of the resized image's shorter side that the centre crop keeps, above 0 and at most 1.
        interpolation: Filter of Pillow that resizes the image, see `keras_deit.ImageProcessor`.
        squash: Whether images are resized without keeping their aspect ratio.
        image_size: Side of the images in pixels, or `(height, width)`, for a model that takes images of any size; None for
            models of one image size, and for presets, whose images have 224 pixels by default.
        bit_depth: Number of bits that the pixels of 16-bit image files use, see `keras_deit.ImageProcessor`; None means the
            number that the files state.

    Raises:
        ValueError: If a value is out of range.

    Example:

    >>> Preprocessing(crop_ratio=1.0).processor(224).crop_ratio
    1.0
    """

    mean: tuple = IMAGENET_MEAN
    std: tuple = IMAGENET_STD
    crop_ratio: float = CROP_RATIO
    interpolation: str = INTERPOLATION
    squash: bool = False
    image_size: tuple | None = None
    bit_depth: int | None = None

    def __post_init__(self):
        for name in ("mean", "std"):
            values = tuple(np.ravel(getattr(self, name)).tolist())
            object.__setattr__(self, name, 3 * values if len(values) == 1 else values)
        for name in ("crop_ratio", "squash", "bit_depth"):
            object.__setattr__(self, name, python_number(getattr(self, name)))
        if self.image_size is not None:
            object.__setattr__(self, "image_size", height_and_width(self.image_size))
        self.processor(32)  # raises if a value is out of range

    @classmethod
    def of(cls, record):
        """Returns a record, from a record or from the dictionary that `get_config` returned.

        Args:
            record: A `Preprocessing`, a dictionary of its attributes, or None.

        Returns:
            The `Preprocessing`, or None.

        Raises:
            ValueError: If `record` is neither, or a value is out of range.
        """
        if record is None or isinstance(record, cls):
            return record
        names = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(record, dict) or not set(record) <= set(names):
            raise ValueError(
                f"`preprocessing` must be a keras_deit.Preprocessing, or a dictionary with keys of {names}. Received: "
                f"{record!r}"
            )
        return cls(**record)

    def get_config(self):
        """Returns the attributes as a dictionary that JSON can hold."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(self).items()
        }

    def processor(self, image_size, **overrides):
        """Builds the layer that prepares images as the record says.

        Args:
            image_size: Side of the images in pixels, or `(height, width)`.
            **overrides: Arguments of `keras_deit.ImageProcessor` that replace those of the record.

        Returns:
            A `keras_deit.ImageProcessor`.
        """
        arguments = {**dataclasses.asdict(self), "image_size": image_size, **overrides}
        return ImageProcessor(**arguments)

    def undo_normalisation(self, images):
        """Returns the pixels of normalised images.

        Args:
            images: Float array `(..., 3)` of images that are normalised by `mean` and `std`.

        Returns:
            uint8 array of the same shape.

        Example:

        >>> record = Preprocessing(mean=0.5, std=0.25)
        >>> record.undo_normalisation(np.array([[-2.0, 0.0, 2.0]])).tolist()
        [[0, 128, 255]]
        """
        pixels = (np.asarray(images) * self.std + self.mean) * 255
        return np.clip(np.round(pixels), 0, 255).astype("uint8")


def crop_ratio_of(crop, resized):
    """Computes the crop ratio of a crop from an image that was resized to a given side.

    Args:
        crop, resized: Sides in pixels.

    Returns:
        The largest ratio, at most `crop / resized`, with `int(crop / ratio) == resized`.

    Example:

    >>> crop_ratio_of(224, 256)
    0.875
    """
    ratio = crop / resized
    return ratio if int(crop / ratio) == resized else float(np.nextafter(ratio, 0))
