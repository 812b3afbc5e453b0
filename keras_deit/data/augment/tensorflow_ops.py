"""The operations of augmentation on one uint8 image within `tf.data`.

Only the chosen operation is computed. Results differ from Pillow's by at most two of 255, since the rounding is Pillow's;
geometric operations are bilinear. The operations are written for XLA, which compiles each to one loop: they are faster
than Pillow's with XLA, and several times slower without it.
"""

import functools
import math

import numpy as np

from keras_deit.data.augment.operation_names import FILL, NAMES
from keras_deit.imaging.channels import LUMA
from keras_deit.runtime.devices import import_tensorflow

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
    """Returns the function that applies operations.

    XLA compiles the function once for all calls from outside, and again within each compiled function that calls it.
    """
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


def _stored(tf, argument, compute):
    """Computes tensors and stores them, since XLA would compute them again for each value that depends on them.

    XLA does not look into the branches of a condition. This condition always holds: arguments are finite.
    """
    return tf.cond(
        tf.math.is_finite(argument), compute, lambda: [tf.zeros(values.shape, values.dtype) for values in compute()]
    )


def _auto_contrast(tf, image, argument):
    lowest, highest = (tf.cast(limit(image, axis=[0, 1]), tf.float32) for limit in (tf.reduce_min, tf.reduce_max))
    scale = tf.where(highest > lowest, 255.0 / tf.maximum(highest - lowest, 1.0), 1.0)
    offset = tf.where(highest > lowest, lowest, 0.0)
    scale, offset = (tf.tile(values, [image.shape[1]]) for values in (scale, offset))
    return _pixels(tf, (_floats(tf, image) - offset) * scale + 1e-4, image.shape)


def _equalize(tf, image, argument):
    bins = tf.reshape(tf.cast(image, tf.int32) + 256 * tf.range(3), [-1])  # one histogram for each channel
    (table,) = _stored(tf, argument, lambda: [_equalizing_table(tf, bins)])
    return tf.reshape(tf.gather(table, bins), image.shape)


def _equalizing_table(tf, bins):
    """The new values of the 256 values of each channel, uint8 `(768,)`."""
    counts = tf.tensor_scatter_nd_add(tf.zeros(768, tf.int32), bins[:, None], tf.ones_like(bins))
    counts = tf.reshape(counts, (3, 256))
    last = tf.reduce_max(tf.where(counts > 0, tf.range(256), 0), axis=1)
    step = (tf.reduce_sum(counts, axis=1) - tf.gather(counts, last, batch_dims=1)) // 255
    below = tf.cumsum(counts, axis=1, exclusive=True) + step[:, None] // 2
    table = tf.where(step[:, None] > 0, below // tf.maximum(step, 1)[:, None], tf.range(256))
    return tf.reshape(tf.cast(tf.minimum(table, 255), tf.uint8), [-1])


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
    red, green, blue = (tf.cast(image[..., channel], tf.float32) * share for channel, share in enumerate(LUMA))
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
    values = _floats(tf, image)
    for axis, step in ((1, 3), (0, 1)):  # a pixel has three values in a row
        values = _box_blurs(tf, values, weights, axis, step)
    return tf.reshape(tf.cast(values, tf.uint8), image.shape)


def _box_blurs(tf, values, weights, axis, step):
    """Applies the box blur `BLUR_PASSES` times along an axis, whose neighbouring pixels are `step` values apart.

    The loop makes XLA store the values of each pass. Without the loop, XLA computes them again for each neighbour.
    """
    length = values.shape[axis]

    def part(padded, begin, size):
        return padded[:, begin : begin + size] if axis else padded[begin : begin + size]

    def pad(values):
        first, last = part(values, 0, step), part(values, length - step, step)
        return tf.concat([*[first] * BLUR_REACH, values, *[last] * BLUR_REACH], axis)

    def blur(count, padded):
        neighbours = [part(padded, step * shift, length) for shift in range(2 * BLUR_REACH + 1)]
        blurred = tf.floor(sum(values * weights[shift] for shift, values in enumerate(neighbours)) + 0.5)
        return count + 1, pad(blurred)

    _, padded = tf.while_loop(lambda count, _: count < BLUR_PASSES, blur, [0, pad(values)])
    return part(padded, step * BLUR_REACH, length)


def _rotate(tf, image, degrees):
    height, width = image.shape[:2]
    angle = -degrees * (math.pi / 180)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    x, y = width / 2, height / 2
    matrix = (cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y)
    return _affine(tf, image, degrees, matrix)


def _shear_x(tf, image, slope):
    return _affine(tf, image, slope, (1.0, slope, 0.0, 0.0, 1.0, 0.0))


def _shear_y(tf, image, slope):
    return _affine(tf, image, slope, (1.0, 0.0, 0.0, slope, 1.0, 0.0))


def _translate_x(tf, image, share):
    return _affine(tf, image, share, (1.0, 0.0, share * image.shape[1], 0.0, 1.0, 0.0))


def _translate_y(tf, image, share):
    return _affine(tf, image, share, (1.0, 0.0, 0.0, 0.0, 1.0, share * image.shape[0]))


def _affine(tf, image, argument, matrix):
    """Affine transform, bilinear: `matrix` maps pixel centres of the result to positions in the image, as in Pillow."""

    def sources():
        red, green, blue = (tf.cast(image[..., channel], tf.int32) for channel in range(3))
        return [tf.reshape(red + 256 * green + 65536 * blue, [-1]), *_neighbours(tf, *image.shape[:2], matrix)]

    # Each step is stored, so that a corner is looked up once for the three channels of a pixel.
    pixels, inside, x_share, y_share, *indices = _stored(tf, argument, sources)
    corners = _stored(tf, argument, lambda: [tf.gather(pixels, index) for index in indices])
    channels = []
    for shift, fill in zip((0, 8, 16), FILL, strict=True):
        values = [tf.bitwise.bitwise_and(tf.bitwise.right_shift(corner, shift), 255) for corner in corners]
        top_left, top_right, bottom_left, bottom_right = (tf.cast(value, tf.float32) for value in values)
        above = top_left + (top_right - top_left) * x_share
        below = bottom_left + (bottom_right - bottom_left) * x_share
        value = tf.cast(above + (below - above) * y_share, tf.uint8)
        channels.append(tf.where(inside, value, tf.constant(fill, tf.uint8)))
    return tf.stack(channels, axis=-1)


def _neighbours(tf, height, width, matrix):
    """The four pixels around each position of an affine transform.

    Returns:
        List of tensors `(height, width)`: whether the position lies in the image, the shares of the right and of the bottom
        pixels, and the indices of the pixels top left, top right, bottom left and bottom right.
    """
    a, b, c, d, e, f = matrix
    columns = tf.range(width, dtype=tf.float32) + 0.5
    rows = tf.range(height, dtype=tf.float32)[:, None] + 0.5
    x, y = a * columns + b * rows + c, d * columns + e * rows + f
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = tf.clip_by_value(x - 0.5, 0.0, width - 1.0), tf.clip_by_value(y - 0.5, 0.0, height - 1.0)
    left, top = tf.cast(x, tf.int32), tf.cast(y, tf.int32)
    right, bottom = tf.minimum(left + 1, width - 1), tf.minimum(top + 1, height - 1)
    shares = x - tf.cast(left, tf.float32), y - tf.cast(top, tf.float32)
    return [inside, *shares, *(row * width + column for row in (top, bottom) for column in (left, right))]


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
