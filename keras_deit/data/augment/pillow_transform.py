"""One view of an image by NumPy and Pillow: decoded, cropped, augmented, normalised."""

import functools

import numpy as np

from keras_deit.data.augment import pillow_ops
from keras_deit.data.augment.augmentation import noise_table
from keras_deit.data.augment.crops import crop
from keras_deit.imaging.image_files import read_image
from keras_deit.imaging.sizes import before_centre_crop
from keras_deit.runtime.optional import require


class ImageTransform:
    """Makes views of one size and normalisation.

    Args:
        image_size: `(height, width)` of the result; None where nothing but `normalized` is called.
        mean, std: Normalisation, of pixels in 0..1.
        crop_ratio: Of the evaluation's centre crop.
    """

    def __init__(self, image_size, mean, std, crop_ratio):
        self.image_size = image_size
        self.crop_ratio = crop_ratio
        self._mean, self._std = (np.asarray(values, "float32") * 255 for values in (mean, std))

    def for_training(self, image, numbers, augmentation):
        """A training view.

        Args:
            image: The content of a picture's file, bytes; or uint8 pixels `(height, width, 3)`.
            numbers: Dictionary, a row of what `Augmentation.draw` gives.
            augmentation: The `Augmentation`.

        Returns:
            float32 array `(*image_size, 3)`.
        """
        pixels = read_image(image) if isinstance(image, bytes) else image
        if augmentation.crop_scale:
            pixels = self._resized(pixels, self.image_size, crop(numbers["crop"], *map(float, pixels.shape[:2])))
        else:
            pixels = self._centre(pixels)
        pixels = pixels[:, ::-1] if numbers["flip"] else pixels
        if "operations" in numbers:
            picture = _pillow().fromarray(np.ascontiguousarray(pixels))
            pixels = np.asarray(pillow_ops.apply(picture, numbers["operations"], numbers["arguments"]))
        values = self.normalized(pixels)
        top, left, height, width = numbers["erased"]
        if height:
            noise = _noise()[numbers["noise"] :][: values.size].reshape(values.shape)
            values[top : top + height, left : left + width] = noise[top : top + height, left : left + width]
        return values

    def for_evaluation(self, image):
        """A view as `keras_deit.ImageProcessor` makes it; arguments and result as those of `for_training`."""
        return self.normalized(self._centre(read_image(image) if isinstance(image, bytes) else image))

    def _centre(self, pixels):
        wanted = before_centre_crop(*pixels.shape[:2], self.image_size, self.crop_ratio)
        pixels = self._resized(pixels, wanted)
        top, left = (round((side - size) / 2) for side, size in zip(wanted, self.image_size, strict=True))
        return pixels[top : top + self.image_size[0], left : left + self.image_size[1]]

    def _resized(self, pixels, size, part=None):
        if part is None and pixels.shape[:2] == tuple(size):
            return pixels
        if part:  # cut out first: Pillow's filter would reach beyond a `box`
            top, left, height, width = map(int, part)
            pixels = np.ascontiguousarray(pixels[top : top + height, left : left + width])
        return np.asarray(_pillow().fromarray(pixels).resize((size[1], size[0]), _pillow().Resampling.BICUBIC))

    def normalized(self, pixels):
        """Pixels in 0..255 of any shape `(..., 3)`, normalised, float32."""
        return (pixels.astype("float32") - self._mean) / self._std


@functools.cache
def _noise():
    return noise_table()


def _pillow():
    return require("PIL.Image", extra="weights", purpose="Augmentation without TensorFlow")
