"""From pixels to what a model takes: resized, cropped, normalised."""

import functools
import pathlib

import keras
import numpy as np
from keras import ops

from keras_deit.imaging.image_files import eight_bits, read_image
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.imaging.kernels import cubic_kernel
from keras_deit.imaging.sizes import before_centre_crop, height_and_width

PIL_SLOPE = -0.5  # of its bicubic kernel
FIXED_POINT = 2**22  # in whose fractions PIL keeps its weights


@keras.saving.register_keras_serializable(package="keras_deit")
class ImageProcessor(keras.layers.Layer):
    """The evaluation transform of the official code, as a layer: resize, centre crop, normalise.

    The shorter side is resized to `int(image_size / crop_ratio)` with PIL's bicubic filter (antialiased, rounded to whole
    pixel values), and a square of `image_size` is cut from the middle.

    Args:
        image_size: Side in pixels, or `(height, width)`, of the result.
        crop_ratio: Share of the resized image that the crop keeps along its shorter side: 0.875 in the official code, 0.9 in
            timm, 1.0 for DeiT III.
        mean, std: Normalisation, of pixels in 0..1.
        **kwargs: As for every Keras layer.

    Call arguments:
        images: Pixels in 0..255 of any dtype, channels last: one image `(height, width, 3)` or a batch of them, of a size
            known beforehand; or, outside of a model, a path, a Pillow image, or a list of those and of arrays, of any sizes.
            Grey pictures `(height, width)` become RGB, 16 bits become 8, EXIF rotation is applied and alpha dropped.

    Output shape:
        `(image_size, image_size, 3)` for one image, `(batch, image_size, image_size, 3)` for several; float32.

    Raises:
        ValueError: If the images are no such pixels, or their size is not known.
        ImportError: If Pillow is missing, which reads files; the message names the extra.

    Example:

    >>> import numpy as np
    >>> processor = ImageProcessor(image_size=224)
    >>> pictures = [np.zeros((300, 500, 3), "uint8"), np.zeros((600, 400), "uint8")]
    >>> tuple(processor(pictures).shape)
    (2, 224, 224, 3)

    Reference:
        The official code's evaluation transform (torchvision's Resize, CenterCrop, Normalize).
    """

    def __init__(self, image_size=224, crop_ratio=0.875, mean=IMAGENET_MEAN, std=IMAGENET_STD, **kwargs):
        super().__init__(autocast=False, **kwargs)
        if not 0 < crop_ratio <= 1:
            raise ValueError(f"`crop_ratio` must be above 0 and at most 1. Received: crop_ratio={crop_ratio}")
        if not np.all(np.asarray(std) > 0):
            raise ValueError(f"`std` must be positive. Received: std={std}")
        self.image_size = height_and_width(image_size)
        self.crop_ratio = crop_ratio
        self.mean = np.ravel(mean).tolist()
        self.std = np.ravel(std).tolist()

    def __call__(self, images, **kwargs):
        if not isinstance(images, (list, tuple)):
            images = _as_pixels(images)
        if not isinstance(images, (list, tuple)):
            return super().__call__(images, **kwargs)
        if not images:
            raise ValueError("There are no images. Received: an empty list")
        return ops.stack([super(ImageProcessor, self).__call__(_as_pixels(image), **kwargs) for image in images])

    def call(self, images):
        rows, columns = self._matrices(*_height_and_width(images.shape))
        pixels = ops.cast(images, "float32")
        pixels = _whole(ops.einsum("xw,...hwc->...hxc", columns, pixels))
        pixels = _whole(ops.einsum("yh,...hxc->...yxc", rows, pixels))
        mean, std = (np.asarray(values, "float32") * 255 for values in (self.mean, self.std))
        return (pixels - mean) / std

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-3], *self.image_size, 3)

    def compute_output_spec(self, images):
        _height_and_width(images.shape)
        return keras.KerasTensor(self.compute_output_shape(images.shape), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "crop_ratio": self.crop_ratio,
            "mean": self.mean,
            "std": self.std,
        }

    def _matrices(self, height, width):
        """Resizing and cropping of rows and of columns as products with matrices `(image_size, side)`."""
        wanted = before_centre_crop(height, width, self.image_size, self.crop_ratio)
        return [
            _cropped(_resizing(side, resized), size).astype("float32")
            for side, resized, size in zip((height, width), wanted, self.image_size, strict=True)
        ]


def _height_and_width(shape):
    *_, height, width, channels = shape if len(shape) in (3, 4) else (None, None, None)
    if channels != 3 or None in (height, width):
        raise ValueError(
            "Expected images (height, width, 3), or a batch of them, with pixels in 0..255 and of a size that is known. "
            f"Received: shape={tuple(shape)}. Images of several sizes can be handed over as a list."
        )
    return height, width


def _as_pixels(image):
    if isinstance(image, (str, pathlib.Path)):
        image = read_image(image)
    if hasattr(image, "convert"):  # Pillow's
        image = eight_bits(image)
    if isinstance(image, np.ndarray) and image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=-1)
    return image


def _whole(pixels):
    return ops.clip(ops.floor(pixels + 0.5), 0, 255)  # halves upward, as PIL rounds them


def _cropped(matrix, size):
    first = round((len(matrix) - size) / 2)
    return matrix[first : first + size]


@functools.lru_cache(maxsize=64)
def _resizing(source, target):
    """Weights `(target, source)` of PIL's bicubic filter, whose support grows with the reduction."""
    scale = source / target
    support = 2 * max(scale, 1)
    matrix = np.zeros((target, source))
    for row in range(target):
        centre = (row + 0.5) * scale
        first, last = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), source)
        weights = cubic_kernel(np.abs(np.arange(first, last) + 0.5 - centre) / max(scale, 1), PIL_SLOPE)
        matrix[row, first:last] = np.round(weights / weights.sum() * FIXED_POINT) / FIXED_POINT
    return matrix
