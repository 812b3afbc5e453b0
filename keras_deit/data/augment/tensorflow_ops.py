"""The operations of augmentation on one uint8 image within `tf.data`.

Only the chosen operation is computed. Results differ from Pillow's by at most two of 255, since the rounding is Pillow's;
geometric operations are bilinear. The operations are written for XLA, which compiles each to one loop: they are faster
than Pillow's with XLA, and several times slower without it.
"""

import functools
import math

import numpy as np

from keras_deit.data.augment.operation_names import FILL, NAMES
from keras_deit.runtime.devices import import_tensorflow

GREY = (0.299, 0.587, 0.114)  # ITU-R 601, as in Pillow
BLUR_PASSES = 3  # number of box blurs that Pillow approximates a Gaussian blur with
BLUR_REACH = 2  # pixels that a box blur reaches, for radii of up to 2.5


def apply(image, operations, arguments):
    """Applies operations one after the other.

    Args:
        image: uint8 tensor `(height, width, 3)` of a known shape.
        operations: int32 tensor `(n,)` of indices in `operation_names.NAMES`, or `operation_names.NOTHING`.
        arguments: float32 tensor `(n,)`.

    Returns:
        uint8 tensor `(height, width, 3)`.
    """
    return _compiled()(image, operations, arguments)


@functools.cache
def _compiled():
    """Returns the function that applies operations, which XLA compiles once for all calls."""
    tf = tensorflow()

    def apply_one(image, operation, argument):
        branches = [lambda name=name: _FUNCTIONS[name](tf, image, argument) for name in NAMES]
        return tf.switch_case(operation, [*branches, lambda: image])

    def apply_all(image, operations, arguments):
        def apply_next(step, image):
            return step + 1, apply_one(image, operations[step], arguments[step])

        # A loop, so that the operations are compiled once and not once for each step.
        return tf.while_loop(lambda step, _: step < operations.shape[0], apply_next, [0, image])[1]

    return tf.function(apply_all, jit_compile=True, autograph=False)


def tensorflow():
    """Imports TensorFlow, or raises an error that names the extra; see `import_tensorflow`."""
    return import_tensorflow(purpose="Augmentation within tf.data")


def _floats(tf, image):
    """Converts to `(height, 3 * width)`, which compiles to faster loops than a last axis of three."""
    height, width = image.shape[:2]
    return tf.cast(tf.reshape(image, (height, 3 * width)), tf.float32)


def _pixels(tf, values, shape):
    """Converts floats to uint8, clipped to 0..255 and rounded towards zero, as Pillow's blending does."""
    return tf.reshape(tf.cast(tf.clip_by_value(values, 0.0, 255.0), tf.uint8), shape)


def _auto_contrast(tf, image, argument):
    lowest, highest = (tf.cast(limit(image, axis=[0, 1]), tf.float32) for limit in (tf.reduce_min, tf.reduce_max))
    scale = tf.where(highest > lowest, 255.0 / tf.maximum(highest - lowest, 1.0), 1.0)
    offset = tf.where(highest > lowest, lowest, 0.0)
    scale, offset = (tf.tile(values, [image.shape[1]]) for values in (scale, offset))
    return _pixels(tf, (_floats(tf, image) - offset) * scale + 1e-4, image.shape)


def _equalize(tf, image, argument):
    bins = tf.reshape(tf.cast(image, tf.int32) + 256 * tf.range(3), [-1])  # one histogram for each channel
    counts = tf.tensor_scatter_nd_add(tf.zeros(768, tf.int32), bins[:, None], tf.ones_like(bins))
    counts = tf.reshape(counts, (3, 256))
    last = tf.reduce_max(tf.where(counts > 0, tf.range(256), 0), axis=1)
    step = (tf.reduce_sum(counts, axis=1) - tf.gather(counts, last, batch_dims=1)) // 255
    below = tf.cumsum(counts, axis=1, exclusive=True) + step[:, None] // 2
    table = tf.where(step[:, None] > 0, below // tf.maximum(step, 1)[:, None], tf.range(256))
    return tf.reshape(tf.gather(tf.reshape(tf.cast(tf.minimum(table, 255), tf.uint8), [-1]), bins), image.shape)


def _invert(tf, image, argument):
    return 255 - image


def _posterize(tf, image, bits):
    mask = 256 - tf.bitwise.left_shift(1, 8 - tf.cast(bits, tf.int32))
    return tf.bitwise.bitwise_and(image, tf.cast(mask, tf.uint8))


def _solarize(tf, image, threshold):
    return tf.where(tf.cast(image, tf.float32) < threshold, image, 255 - image)


def _solarize_add(tf, image, addition):
    values = _floats(tf, image)
    return _pixels(tf, tf.where(values < 128, values + addition, values), image.shape)


def _grey(tf, image):
    """Pillow's luma: `(height, width, 1)`, floats that are integers."""
    red, green, blue = (tf.cast(image[..., channel], tf.float32) * share for channel, share in enumerate(GREY))
    return tf.floor(red + green + blue + 0.5)[..., None]


def _grayscale(tf, image, argument):
    return tf.repeat(tf.cast(_grey(tf, image), tf.uint8), 3, axis=-1)


def _color(tf, image, factor):
    grey = _grey(tf, image)
    return _pixels(tf, grey + (tf.cast(image, tf.float32) - grey) * factor, image.shape)


def _contrast(tf, image, factor):
    mean = tf.floor(tf.reduce_mean(_grey(tf, image)) + 0.5)
    return _pixels(tf, mean + (_floats(tf, image) - mean) * factor, image.shape)


def _brightness(tf, image, factor):
    return _pixels(tf, _floats(tf, image) * factor, image.shape)


def _sharpness(tf, image, factor):
    height, width = image.shape[:2]
    values = _floats(tf, image)
    padded = tf.pad(values, [[1, 1], [3, 3]])
    columns = padded[:-2] + padded[1:-1] + padded[2:]
    around = columns[:, :-6] + columns[:, 3:-3] + columns[:, 6:]  # sums over three by three pixels
    smooth = tf.floor((around + 4 * values) / 13 + 0.5)
    inside = np.pad(np.ones((height - 2, 3 * width - 6), "float32"), [[1, 1], [3, 3]])
    return _pixels(tf, values + (smooth + (values - smooth) * factor - values) * inside, image.shape)


def _gaussian_blur(tf, image, radius):
    variance = radius * radius / BLUR_PASSES  # of one box blur, whose outermost pixels have a fractional weight
    whole = tf.floor((tf.sqrt(12 * variance + 1) - 1) / 2)
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1) ** 2))
    reach = tf.abs(tf.range(-BLUR_REACH, BLUR_REACH + 1, dtype=tf.float32))
    weights = tf.clip_by_value(whole + part + 1 - reach, 0.0, 1.0) / (2 * (whole + part) + 1)
    values = tf.cast(image, tf.float32)
    for axis in (1, 0):
        for _ in range(BLUR_PASSES):
            values = _box_blur(tf, values, weights, axis)
    return tf.cast(values, tf.uint8)


def _box_blur(tf, values, weights, axis):
    indices = np.arange(values.shape[axis])
    shifted = (indices + shift for shift in range(-BLUR_REACH, BLUR_REACH + 1))
    neighbours = [tf.gather(values, shift.clip(0, indices[-1]), axis=axis) for shift in shifted]
    return tf.floor(sum(values * weights[shift] for shift, values in enumerate(neighbours)) + 0.5)


def _rotate(tf, image, degrees):
    height, width = image.shape[:2]
    angle = -degrees * (math.pi / 180)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    x, y = width / 2, height / 2
    return _affine(tf, image, (cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y))


def _shear_x(tf, image, slope):
    return _affine(tf, image, (1.0, slope, 0.0, 0.0, 1.0, 0.0))


def _shear_y(tf, image, slope):
    return _affine(tf, image, (1.0, 0.0, 0.0, slope, 1.0, 0.0))


def _translate_x(tf, image, share):
    return _affine(tf, image, (1.0, 0.0, share * image.shape[1], 0.0, 1.0, 0.0))


def _translate_y(tf, image, share):
    return _affine(tf, image, (1.0, 0.0, 0.0, 0.0, 1.0, share * image.shape[0]))


def _affine(tf, image, matrix):
    """Affine transform, bilinear: `matrix` maps pixel centres of the result to positions in the image, as in Pillow."""
    height, width = image.shape[:2]
    a, b, c, d, e, f = matrix
    columns = tf.range(width, dtype=tf.float32) + 0.5
    rows = tf.range(height, dtype=tf.float32)[:, None] + 0.5
    x, y = a * columns + b * rows + c, d * columns + e * rows + f
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = tf.clip_by_value(x - 0.5, 0.0, width - 1.0), tf.clip_by_value(y - 0.5, 0.0, height - 1.0)
    left, top = tf.cast(x, tf.int32), tf.cast(y, tf.int32)
    right, bottom = tf.minimum(left + 1, width - 1), tf.minimum(top + 1, height - 1)
    x_share, y_share = (x - tf.cast(left, tf.float32))[..., None], (y - tf.cast(top, tf.float32))[..., None]
    pixels = tf.reshape(image, (-1, 3))
    corners = [tf.gather(pixels, row * width + column) for row in (top, bottom) for column in (left, right)]
    corners = [tf.cast(corner, tf.float32) for corner in corners]
    above = corners[0] + (corners[1] - corners[0]) * x_share
    below = corners[2] + (corners[3] - corners[2]) * x_share
    pixels = tf.cast(above + (below - above) * y_share, tf.uint8)
    return tf.where(inside[..., None], pixels, tf.constant(FILL, tf.uint8))


_FUNCTIONS = {
    "AutoContrast": _auto_contrast,
    "Equalize": _equalize,
    "Invert": _invert,
    "Rotate": _rotate,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "SolarizeAdd": _solarize_add,
    "Color": _color,
    "Contrast": _contrast,
    "Brightness": _brightness,
    "Sharpness": _sharpness,
    "ShearX": _shear_x,
    "ShearY": _shear_y,
    "TranslateX": _translate_x,
    "TranslateY": _translate_y,
    "Grayscale": _grayscale,
    "GaussianBlur": _gaussian_blur,
}
