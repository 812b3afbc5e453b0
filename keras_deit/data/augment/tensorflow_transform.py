"""One sample of an image within `tf.data`: decoded, cropped, augmented, normalised.

Steps on images of no fixed size (decoding with the crop, resizing) use TensorFlow's own operations. XLA compiles all the
others to one function, since each call of a compiled function takes about 0.06 ms.
"""

import functools

import numpy as np

from keras_deit.data.augment import pillow_transform, tensorflow_ops
from keras_deit.data.augment.crops import crop
from keras_deit.data.augment.erasing import noise_table
from keras_deit.imaging.image_files import is_upright, read_image
from keras_deit.imaging.sizes import before_centre_crop, centre_crop_offset, is_strip
from keras_deit.runtime.shutdown import unless_exiting

# TensorFlow then decodes a JPEG to the pixels that Pillow decodes, also a slightly damaged one. A file that is cut off never
# comes here, see `_is_plain_jpeg`.
LIKE_PILLOW = {"dct_method": "INTEGER_ACCURATE", "try_recover_truncated": True, "acceptable_fraction": 1e-9}
END_OF_JPEG = b"\xff\xd9"
HEADER_BYTES = 4096  # searched for what follows
# Segments that hold a rotation (EXIF, XMP), or a small JPEG file of their own whose scan is not that of the image.
ROTATION_OR_PREVIEW = r"\C*(Exif\x00\x00|ns\.adobe\.com|8BIM|JFXX)\C*"
# The begin of the scan, behind which there are no further segments: the marker, the length, the number of channels, the
# tables of each channel, and the range of coefficients. TensorFlow reads the expression as UTF-8, in which \xff is no byte,
# so the two bytes of the marker itself match any.
BEGIN_OF_SCAN = (
    r"\C*\C\C\x00(\x08\x01|\x0a\x02[\x00-\x7f][\x00-\x33]|\x0c\x03([\x00-\x7f][\x00-\x33]){2})"
    r"[\x00-\x7f][\x00-\x33]\x00[\x00-\x3f][\x00-\x1f]\C*"
)


def refuses_jpeg(content):
    """Tells whether TensorFlow cannot decode a JPEG file.

    Args:
        content: Content of an image file, bytes.

    Returns:
        A boolean; False for files of other formats, which Pillow decodes.
    """
    tf = tensorflow_ops.tensorflow()
    try:
        if bool(tf.io.is_jpeg(content)):
            tf.io.decode_jpeg(content, **LIKE_PILLOW)
    except tf.errors.OpError:
        return True
    return False


class ImageTransform:
    """Turns images into samples of one size and normalisation.

    Args:
        image_size: `(height, width)` of the samples in pixels.
        mean, std: Normalisation of each channel, for pixels in 0..1.
        crop_ratio: Fraction of the resized image that the central crop keeps, in evaluation and in an augmentation without
            random crops.
        bit_depth: Number of bits that the pixels use in files of 16 bits that do not state it; None means 16.
        interpolation: Filter of Pillow that resizes for the central crop, see `keras_deit.ImageProcessor`.
        squash: Whether images are resized for the central crop without keeping their aspect ratio. Pillow makes the
            central crop if this is true or the filter is another one than `"bicubic"`.
    """

    def __init__(self, image_size, mean, std, crop_ratio, bit_depth=None, interpolation="bicubic", squash=False):
        self._tf = tensorflow_ops.tensorflow()
        self.image_size = image_size
        self.crop_ratio = crop_ratio
        self.bit_depth = bit_depth
        self._pillow = None
        if squash or interpolation != "bicubic":
            self._pillow = pillow_transform.ImageTransform(
                image_size, mean, std, crop_ratio, bit_depth, interpolation, squash
            )
        self._noise = None
        self._finish = _compiled(tuple(image_size), *(tuple(map(float, values)) for values in (mean, std)))

    def training_sample(self, image, draws, augmentation):
        """Makes a training sample.

        Args:
            image: String tensor, the content of an image file; or uint8 pixels `(height, width, 3)`.
            draws: Dictionary of tensors, one row of what `Augmentation.draw` returns.
            augmentation: `Augmentation`.

        Returns:
            float32 tensor `(*image_size, 3)`, normalised.
        """
        crops = augmentation.crop_scale is not None
        transposed = self._resized_crop(image, draws["crop"]) if crops else self._central_crop(image)
        steps = {name: draws[name] for name in ("flip", "operations", "arguments") if name in draws}
        if augmentation.erasing:
            box = draws["erased"]
            steps |= {"box": box, "noise": self._noise_from(draws["noise"], is_needed=box[2] > 0)}
        return self._finish(transposed, **steps)

    def evaluation_sample(self, image):
        """Makes a sample as `keras_deit.ImageProcessor` does.

        Args:
            image: String tensor, the content of an image file; or uint8 pixels `(height, width, 3)`.

        Returns:
            float32 tensor `(*image_size, 3)`, normalised.
        """
        return self._finish(self._central_crop(image))

    def _resized_crop(self, image, attempts):
        """A random crop, resized and transposed. Of a JPEG only the crop is decoded."""
        tf = self._tf

        def box_in(shape):
            height, width = (tf.cast(side, tf.float64) for side in (shape[0], shape[1]))
            return [tf.cast(side, tf.int32) for side in crop(attempts, height, width, library=tf)]

        def from_jpeg():
            box = box_in(tf.io.extract_jpeg_shape(image))
            return tf.image.decode_and_crop_jpeg(image, box, channels=3, **LIKE_PILLOW)

        def from_pixels(pixels):
            top, left, height, width = box_in(tf.shape(pixels))
            return pixels[top : top + height, left : left + width]

        if image.dtype != tf.string:
            return self._resized(from_pixels(image), self.image_size)
        cropped = tf.cond(self._is_plain_jpeg(image), from_jpeg, lambda: from_pixels(self._by_pillow(image)))
        return self._resized(cropped, self.image_size)

    def _central_crop(self, image):
        """The central crop of the resized image, transposed."""
        tf = self._tf
        if self._pillow is not None:
            return self._central_crop_by_pillow(image)
        if image.dtype == tf.string:
            is_plain = self._is_plain_jpeg(image)
            image = tf.cond(
                is_plain,
                lambda: tf.io.decode_jpeg(image, channels=3, **LIKE_PILLOW),
                lambda: self._by_pillow(image),
            )
        height, width = (tf.cast(tf.shape(image)[axis], tf.float64) for axis in (0, 1))
        resized = before_centre_crop(height, width, self.image_size, self.crop_ratio, library=tf)
        top, left = (
            tf.cast(centre_crop_offset(side, size, library=tf), tf.int32)
            for side, size in zip(resized, self.image_size, strict=True)
        )
        resized = [tf.cast(side, tf.int32) for side in resized]
        height, width = self.image_size
        crop = tf.cond(
            is_strip(resized, self.image_size),
            lambda: self._central_crop_of_strip(image, resized, (top, left)),
            lambda: self._resized(image, resized)[left : left + width, top : top + height],
        )
        return tf.ensure_shape(crop, (width, height, 3))

    def _central_crop_by_pillow(self, image):
        tf, (height, width) = self._tf, self.image_size
        pixels = tf.numpy_function(unless_exiting(self._pillow.central_crop), [image], tf.uint8)
        return tf.transpose(tf.cast(tf.ensure_shape(pixels, (height, width, 3)), tf.float32), (1, 0, 2))

    def _central_crop_of_strip(self, image, resized, offsets):
        """The central crop of an image that would be too large if all of it were resized, transposed."""
        tf, windows, scales = self._tf, [], []
        for axis in (0, 1):
            side, offset = tf.shape(image)[axis], tf.cast(offsets[axis], tf.float64)
            scale = tf.cast(resized[axis], tf.float64) / tf.cast(side, tf.float64)
            reach = 2 * tf.maximum(1 / scale, 1) + 1  # of the filter, in pixels of the image
            first = tf.maximum(tf.cast(tf.floor(offset / scale - reach), tf.int32), 0)
            last = tf.minimum(tf.cast((offset + self.image_size[axis]) / scale + reach, tf.int32) + 1, side)
            translation = tf.cast(first, tf.float64) * scale - offset
            windows.append(slice(first, last))
            scales.append((tf.cast(scale, tf.float32), tf.cast(translation, tf.float32)))
        return self._resized(image[tuple(windows)], self.image_size, scales)

    def _resized(self, pixels, size, scales=(None, None)):
        """Resizes bicubically with antialiasing; the result is transposed, `(width, height, 3)`.

        TensorFlow's kernel is much faster on many channels than on three, so each axis is resized with the other axis folded
        into the channels. The values are those of `tf.image.resize`. `scales` has a scale and a translation for each axis;
        None means that the whole axis is resized.
        """
        tf, (height, width) = self._tf, size
        columns = tf.shape(pixels)[1]
        rows_resized = self._rows_resized(tf.reshape(pixels, (tf.shape(pixels)[0], 3 * columns)), height, scales[0])
        transposed = tf.transpose(tf.reshape(rows_resized, (height, columns, 3)), (1, 0, 2))
        resized = self._rows_resized(tf.reshape(transposed, (columns, 3 * height)), width, scales[1])
        return tf.reshape(resized, (width, height, 3))

    def _rows_resized(self, values, rows, scale_and_translation):
        tf = self._tf
        scale, translation = scale_and_translation or (tf.cast(rows / tf.shape(values)[0], tf.float32), 0.0)
        resized = tf.raw_ops.ScaleAndTranslate(
            images=values[None, :, None],
            size=[rows, 1],
            scale=tf.stack([scale, 1.0]),
            translation=tf.stack([translation, 0.0]),
            kernel_type="keyscubic",
            antialias=True,
        )
        return resized[0, :, 0]

    def _is_plain_jpeg(self, content):
        """Whether TensorFlow decodes the file to the pixels of Pillow: a whole RGB or grey JPEG without EXIF rotation."""
        tf = self._tf

        def is_whole_and_has_plain_channels():
            channels = tf.io.extract_jpeg_shape(content)[2]
            is_whole = tf.strings.substr(content, -len(END_OF_JPEG), len(END_OF_JPEG)) == END_OF_JPEG
            return is_whole & ((channels == 1) | (channels == 3))

        def is_not_rotated():
            upright = tf.numpy_function(
                unless_exiting(lambda content: np.bool_(is_upright(content))), [content], tf.bool
            )
            return tf.ensure_shape(upright, ())

        header = tf.strings.substr(content, 0, HEADER_BYTES)
        has_no_scan = ~tf.strings.regex_full_match(header, BEGIN_OF_SCAN)
        may_be_rotated = has_no_scan | tf.strings.regex_full_match(header, ROTATION_OR_PREVIEW)
        is_plain = tf.cond(tf.io.is_jpeg(content), is_whole_and_has_plain_channels, lambda: False)
        return tf.cond(is_plain & may_be_rotated, is_not_rotated, lambda: is_plain)

    def _by_pillow(self, content):
        read = unless_exiting(lambda content: read_image(content, self.bit_depth))
        pixels = self._tf.numpy_function(read, [content], self._tf.uint8)
        return self._tf.ensure_shape(pixels, (None, None, 3))

    def _noise_from(self, offset, is_needed):
        """Noise `(height, 3 * width)` from an offset of the noise table; zeros if it is not needed."""
        tf, (height, width) = self._tf, self.image_size
        if self._noise is None:
            with tf.init_scope():
                self._noise, self._no_noise = tf.constant(noise_table()), tf.zeros((height, 3 * width))

        def noise():
            return tf.reshape(tf.slice(self._noise, [offset], [height * 3 * width]), (height, 3 * width))

        return tf.cond(is_needed, noise, lambda: self._no_noise)


@functools.cache
def _compiled(image_size, mean, std):
    """Returns `_FinalSteps.apply`, which XLA compiles once for all transforms with these arguments."""
    tf = tensorflow_ops.tensorflow()
    return tf.function(_FinalSteps(image_size, mean, std).apply, jit_compile=True, autograph=False)


class _FinalSteps:
    """All steps after resizing. See `ImageTransform` for the arguments."""

    def __init__(self, image_size, mean, std):
        self._tf = tensorflow_ops.tensorflow()
        self.image_size = image_size
        self._mean, self._std = (np.tile(np.asarray(values, "float32") * 255, image_size[1]) for values in (mean, std))

    def apply(self, transposed, flip=False, operations=None, arguments=None, box=None, noise=None):
        """Makes a sample from resized and transposed pixels, float32 `(width, height, 3)`."""
        pixels = self._rounded_and_flipped(transposed, flip)
        if operations is not None:
            pixels = tensorflow_ops.apply(pixels, operations, arguments)
        return self._normalized(pixels) if box is None else self._erased(pixels, box, noise)

    def _rounded_and_flipped(self, transposed, flip):
        tf = self._tf
        values = tf.transpose(transposed, (1, 0, 2))
        pixels = tf.cast(tf.clip_by_value(tf.floor(values + 0.5), 0.0, 255.0), tf.uint8)
        return tf.where(flip, tf.reverse(pixels, [1]), pixels)

    def _normalized(self, pixels):
        return self._tf.reshape(self._normalized_rows(pixels), (*self.image_size, 3))

    def _normalized_rows(self, pixels):
        """Normalises to `(height, 3 * width)`, which compiles to faster loops than a last axis of three."""
        tf, (height, width) = self._tf, self.image_size
        values = tf.cast(tf.reshape(pixels, (height, 3 * width)), tf.float32)
        return (values - self._mean) / self._std

    def _erased(self, pixels, box, noise):
        tf, (height, width) = self._tf, self.image_size
        rows, columns = tf.range(height)[:, None], tf.constant(np.repeat(np.arange(width, dtype="int32"), 3))
        inside = (rows >= box[0]) & (rows < box[0] + box[2]) & (columns >= box[1]) & (columns < box[1] + box[3])
        return tf.reshape(tf.where(inside, noise, self._normalized_rows(pixels)), (height, width, 3))
