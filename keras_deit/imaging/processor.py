"""The evaluation transform: pixels to resized, cropped and normalised images."""

import sys

import keras
import numpy as np
from keras import ops

from keras_deit.choices import BIT_DEPTHS
from keras_deit.imaging.image_files import as_rgb
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.imaging.kernels import HALF, check_interpolation, crop_weights, traced_crop_weights
from keras_deit.imaging.normalisation import check_normalisation
from keras_deit.imaging.pixel_range import check_pixels
from keras_deit.imaging.sizes import before_centre_crop, check_crop_ratio, height_and_width
from keras_deit.runtime.numpy_numbers import python_number
from keras_deit.runtime.shutdown import unless_exiting


@keras.saving.register_keras_serializable(package="keras_deit")
class ImageProcessor(keras.layers.Layer):
    """The evaluation transform of the official code, as a layer: resize, centre crop, normalise.

    The shorter side is resized to `int(image_size / crop_ratio)` with Pillow's bicubic filter (antialiased, rounded to whole
    pixel values). Then a square of `image_size` is cropped from the centre.

    Args:
        image_size: Side of the result in pixels, or `(height, width)`.
        crop_ratio: Side of the crop as a fraction of the shorter side of the resized image, above 0 and at most 1: 0.875 in
            the official code, 0.9 in timm, 1.0 for DeiT III.
        mean, std: Mean and standard deviation of each channel, for pixels in 0..1.
        interpolation: Filter of Pillow that resizes: `"nearest"`, `"box"`, `"bilinear"`, `"hamming"`, `"bicubic"` or
            `"lanczos"`.
        squash: Whether both sides are resized to `int(image_size / crop_ratio)`, whatever the aspect ratio of the image.
        bit_depth: Number of bits that the pixels use in files and arrays of 16 bits that do not state it; None means 16.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Call arguments:
        images: Pixels in 0..255 of any dtype, channels last: one image `(height, width, 3)` or a batch
            `(batch, height, width, 3)`. Inside a model the size must be known when the model is built. Outside a model,
            `images` can also be a path, a Pillow image, a greyscale array `(height, width)`, or a list of such images with
            any sizes. Files are read by `keras_deit.imaging.image_files.read_image`.

    Output shape:
        `(image_size, image_size, 3)` for one image, `(batch, image_size, image_size, 3)` for several; float32.

    Raises:
        ValueError: If an argument is out of range, an image has another shape or an unknown size, or a file cannot be read.
        ImportError: If a file is to be read and Pillow is not installed; the message names the extra.

    Example:

    >>> import numpy as np
    >>> processor = ImageProcessor(image_size=224)
    >>> images = [np.zeros((300, 500, 3), "uint8"), np.zeros((600, 400), "uint8")]
    >>> tuple(processor(images).shape)
    (2, 224, 224, 3)

    Reference:
        The official code's evaluation transform (torchvision's Resize, CenterCrop, Normalize).
    """

    def __init__(
        self,
        image_size=224,
        crop_ratio=0.875,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        interpolation="bicubic",
        squash=False,
        bit_depth=None,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        crop_ratio, squash, bit_depth = map(python_number, (crop_ratio, squash, bit_depth))
        check_crop_ratio(crop_ratio)
        check_normalisation(mean, std)
        check_interpolation(interpolation)
        if bit_depth is not None and bit_depth not in BIT_DEPTHS:
            raise ValueError(
                f"`bit_depth` must be from {BIT_DEPTHS[0]} to {BIT_DEPTHS[-1]}, or None for 16. Received: "
                f"bit_depth={bit_depth}"
            )
        self.image_size = height_and_width(image_size)
        self.crop_ratio = crop_ratio
        self.interpolation = interpolation
        self.squash = squash
        self.bit_depth = bit_depth
        self.mean = np.ravel(mean).tolist()
        self.std = np.ravel(std).tolist()

    def __call__(self, images, **kwargs):
        if _is_foreign_tensor(images):
            return self._within_tf_data(images)
        if not isinstance(images, (list, tuple)):
            images = as_rgb(images, self.bit_depth)
            check_pixels(images)
            return super().__call__(images, **kwargs)
        if not images:
            raise ValueError("Expected at least one image. Received: an empty list")
        check_pixels([image for image in images if hasattr(image, "dtype")])
        processed = (super(ImageProcessor, self).__call__(as_rgb(image, self.bit_depth), **kwargs) for image in images)
        return ops.stack(list(processed))

    def call(self, images):
        """Resizes, crops and normalises one image or a batch, `(..., height, width, 3)`."""
        return self._processed(images, *self._weights(*_height_and_width(images.shape)))

    def call_traced(self, images):
        """Does what `call` does within a graph of TensorFlow, for images whose size only the call tells.

        Args:
            images: Tensor of TensorFlow, `(height, width, 3)` or `(batch, height, width, 3)`. The height and width are
                positive and may be None in the tensor's shape.

        Returns:
            float32 tensor `(..., *image_size, 3)`.
        """
        height, width = (ops.cast(side, "float64") for side in ops.shape(images)[-3:-1])
        return self._processed(images, *self._weights(height, width, traced_crop_weights, library=ops))

    def _processed(self, images, rows, columns):
        pixels = ops.cast(images[..., rows.pixels, columns.pixels, :], "float32")
        if keras.backend.standardize_dtype(images.dtype) == "uint16":
            pixels = ops.floor(pixels / ((2 ** (self.bit_depth or 16) - 1) / 255) + 0.5)
        pixels = _resized("xw,...hwc->...hxc", columns, pixels)
        pixels = _resized("yh,...hxc->...yxc", rows, pixels)
        mean, std = (ops.convert_to_tensor(np.asarray(values, "float32") * 255) for values in (self.mean, self.std))
        return (pixels - mean) / std

    def compute_output_shape(self, input_shape):
        """Returns the shape of the result: that of the input with `image_size` as height and width."""
        return (*input_shape[:-3], *self.image_size, 3)

    def compute_output_spec(self, images):
        """Returns the symbolic result, after checking that the images' size is known."""
        _height_and_width(images.shape)
        return keras.KerasTensor(self.compute_output_shape(images.shape), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "crop_ratio": self.crop_ratio,
            "mean": self.mean,
            "std": self.std,
            "interpolation": self.interpolation,
            "squash": self.squash,
            "bit_depth": self.bit_depth,
        }

    def _weights(self, height, width, weights_of=crop_weights, library=np):
        """Returns the weights that resize and crop the rows and the columns."""
        resized_size = before_centre_crop(height, width, self.image_size, self.crop_ratio, self.squash, library)
        return [
            weights_of(side, resized, size, self.interpolation)
            for side, resized, size in zip((height, width), resized_size, self.image_size, strict=True)
        ]

    def _within_tf_data(self, images):
        """Processes a tensor of TensorFlow on another backend, as the preprocessing layers of Keras do, of any size."""
        tf = sys.modules["tensorflow"]  # there is a tensor of it
        process = unless_exiting(lambda pixels: keras.ops.convert_to_numpy(self(pixels)))
        processed = tf.numpy_function(process, [images], tf.float32)
        if images.shape.rank is None:
            return processed
        batch = images.shape[:1] if images.shape.rank == 4 else ()
        return tf.ensure_shape(processed, (*batch, *self.image_size, 3))


def _height_and_width(shape):
    *_, height, width, channels = shape if len(shape) in (3, 4) else (None, None, None)
    if channels != 3 or None in (height, width) or 0 in (height, width):
        raise ValueError(
            "Expected an image (height, width, 3) or a batch of images, with pixels in 0..255 and of a known size. "
            f"Received: shape={tuple(shape)}. Pass images of several sizes as a list."
        )
    return height, width


def _is_foreign_tensor(images):
    """Whether the images are a tensor of TensorFlow, on another backend."""
    return keras.backend.backend() != "tensorflow" and type(images).__module__.startswith("tensorflow.")


def _resized(equation, weights, pixels):
    """Resizes one axis and rounds as PIL does, which computes with integers."""
    high, low = (ops.einsum(equation, ops.convert_to_tensor(half), pixels) for half in (weights.high, weights.low))
    return ops.clip(ops.floor((high + ops.floor(low / HALF) + HALF / 2) / HALF), 0, 255)
