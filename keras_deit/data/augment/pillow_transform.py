"""One sample of an image by NumPy and Pillow: decoded, cropped, augmented, normalised."""

import functools

import keras
import numpy as np

from keras_deit.data.augment import pillow_ops, torch_resizing
from keras_deit.data.augment.augmentation import NONE
from keras_deit.data.augment.crops import crop
from keras_deit.data.augment.erasing import noise_table
from keras_deit.imaging.image_files import read_image, read_pillow_image
from keras_deit.imaging.sizes import before_centre_crop, centre_crop_offset, is_strip
from keras_deit.runtime.optional import require


def resizing_library():
    """Returns the package that resizes random crops on the active backend: `"torch"` on PyTorch, otherwise `"pillow"`."""
    return "torch" if keras.backend.backend() == "torch" else "pillow"


class ImageTransform:
    """Turns images into samples of one size and normalisation.

    Args:
        image_size: `(height, width)` of the samples in pixels.
        mean, std: Normalisation of each channel, for pixels in 0..1.
        crop_ratio: Fraction of the resized image that the central crop keeps, in evaluation and in an augmentation without
            random crops.
        bit_depth: Number of bits that the pixels use in files of 16 bits that do not state it; None means 16.
        interpolation: Filter of Pillow that resizes for the central crop, see `keras_deit.ImageProcessor`.
        squash: Whether images are resized for the central crop without keeping their aspect ratio.
    """

    def __init__(self, image_size, mean, std, crop_ratio, bit_depth=None, interpolation="bicubic", squash=False):
        self.image_size = tuple(image_size)
        self.bit_depth = bit_depth
        self.crop_ratio = crop_ratio
        self.interpolation = interpolation
        self.squash = squash
        self._mean, self._std = (np.asarray(values, "float32") * 255 for values in (mean, std))

    def leaves_unchanged(self, data, augmentation=NONE):
        """Whether the images of a dataset lie in memory and are only normalised.

        Args:
            data: `keras_deit.data.LabelledImages`.
            augmentation: `Augmentation`.

        Returns:
            Boolean.
        """
        is_array = data.images is not None and data.labels is not None and data.image_size == self.image_size
        return is_array and augmentation == NONE and self.crop_ratio == 1

    def training_sample(self, image, draws, augmentation, out=None):
        """Makes a training sample.

        Args:
            image: Content of an image file, bytes; or uint8 pixels `(height, width, 3)`.
            draws: Dictionary, one row of what `Augmentation.draw` returns.
            augmentation: `Augmentation`.
            out: Array that the sample is written to, float32 `(*image_size, 3)`; None means a new array.

        Returns:
            float32 array `(*image_size, 3)`, normalised.
        """
        if augmentation.crop_scale is None:
            image = _pillow_image(self.central_crop(image))
        else:
            image = self._resized_crop(image, draws["crop"])
        if draws["flip"]:
            image = image.transpose(_pillow().Transpose.FLIP_LEFT_RIGHT)
        if "operations" in draws:
            image = pillow_ops.apply(image, draws["operations"], draws["arguments"])
        values = self.normalize(np.asarray(image), out)
        top, left, height, width = draws["erased"]
        if height:
            noise = _noise()[draws["noise"] :][: values.size].reshape(values.shape)
            values[top : top + height, left : left + width] = noise[top : top + height, left : left + width]
        return values

    def evaluation_sample(self, image):
        """Makes a sample as `keras_deit.ImageProcessor` does.

        Args:
            image: Content of an image file, bytes; or uint8 pixels `(height, width, 3)`.

        Returns:
            float32 array `(*image_size, 3)`, normalised.
        """
        return self.normalize(self.central_crop(image))

    def central_crop(self, image):
        """Cuts the central crop of evaluation.

        Args:
            image: See `evaluation_sample`.

        Returns:
            uint8 pixels `(*image_size, 3)`.
        """
        return self._central_crop(self._decoded(image))

    def normalize(self, pixels, out=None):
        """Normalises images.

        Args:
            pixels: uint8 array `(..., width, 3)`.
            out: Contiguous float32 array of the same shape that the result is written to; None means a new array.

        Returns:
            float32 array `(..., width, 3)`.
        """
        values = np.empty(pixels.shape, "float32") if out is None else out
        mean, std = (np.tile(channels, pixels.shape[-2]) for channels in (self._mean, self._std))
        rows = values.reshape(*pixels.shape[:-2], -1)  # NumPy is several times faster on rows than on an axis of three
        np.subtract(pixels.reshape(rows.shape), mean, out=rows)
        np.divide(rows, std, out=rows)
        return values

    def _decoded(self, image):
        return read_image(image, self.bit_depth) if isinstance(image, bytes) else image

    def _resized_crop(self, image, attempts):
        """A random crop as a Pillow image. It is cut out first: Pillow's filter would reach beyond the `box` of `resize`."""
        is_file = isinstance(image, bytes)
        image = read_pillow_image(image, self.bit_depth) if is_file else _pillow_image(image)
        top, left, height, width = map(int, crop(attempts, float(image.height), float(image.width)))
        cut_out = image.crop((left, top, left + width, top + height))
        if resizing_library() == "torch":
            return torch_resizing.resize(cut_out, self.image_size)
        return cut_out.resize(self.image_size[::-1], _pillow().Resampling.BICUBIC)

    def _central_crop(self, pixels):
        resized = before_centre_crop(*pixels.shape[:2], self.image_size, self.crop_ratio, self.squash)
        if is_strip(resized, self.image_size):
            return self._central_crop_of_strip(pixels, resized)
        if pixels.shape[:2] != tuple(resized):
            pixels = _resize(pixels, resized, interpolation=self.interpolation)
        top, left = map(centre_crop_offset, resized, self.image_size)
        return pixels[top : top + self.image_size[0], left : left + self.image_size[1]]

    def _central_crop_of_strip(self, pixels, resized):
        """The central crop of an image that would be too large if all of it were resized: the columns first, then the rows.

        Pillow's filter reaches beyond the box that becomes the crop, as it should.
        """
        scales = np.array(pixels.shape[:2]) / resized
        begin = np.array([*map(centre_crop_offset, resized, self.image_size)])
        top, left = begin * scales
        bottom, right = (begin + self.image_size) * scales
        height, width = self.image_size
        pixels = _resize(pixels, (len(pixels), width), (left, 0, right, len(pixels)), self.interpolation)
        return _resize(pixels, (height, width), (0, top, width, bottom), self.interpolation)


def _resize(pixels, size, box=None, interpolation="bicubic"):
    height, width = size
    resampling = _pillow().Resampling[interpolation.upper()]
    return np.asarray(_pillow().fromarray(pixels).resize((width, height), resampling, box))


def _pillow_image(pixels):
    return _pillow().fromarray(np.ascontiguousarray(pixels))


@functools.cache
def _noise():
    return noise_table()


def _pillow():
    return require("PIL.Image", extra="weights", purpose="Augmentation without TensorFlow")
