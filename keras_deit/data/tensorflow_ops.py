"""RandAugment's operations on one uint8 image within `tf.data`, each computed only where it is chosen.

They are Pillow's to within a step or two of 255, whose rounding they follow. What acts on each value by itself is a table of
256 entries a channel; geometric operations are bilinear.
"""

import math

from keras_deit.data.randaugment import OPERATIONS
from keras_deit.extras import require

GREY = (0.299, 0.587, 0.114)  # ITU-R 601, as in Pillow


def apply(image, operations, arguments, fill):
    """Applies RandAugment's operations one after the other.

    Args:
        image: uint8 tensor `(height, width, 3)` of a known shape.
        operations: int32 tensor `(n,)` of indices into `OPERATIONS`, or `NOTHING`.
        arguments: float32 tensor `(n,)`.
        fill: Three integers: the colour of what a geometric operation brings in.

    Returns:
        uint8 tensor `(height, width, 3)`.
    """
    tf = _tensorflow()
    for place in range(operations.shape[0]):
        branches = [
            lambda image=image, name=operation.name, place=place: _FUNCTIONS[name](tf, image, arguments[place], fill)
            for operation in OPERATIONS
        ]
        image = tf.switch_case(operations[place], [*branches, lambda image=image: image])
    return image


def _tensorflow():
    return require("tensorflow", extra="tensorflow", purpose="Augmentation within tf.data")


def _looked_up(tf, image, table):
    """Every value by a table `(256,)` for all channels, or `(256, 3)`."""
    indices = tf.cast(image, tf.int32)
    if table.shape.rank == 1:
        return tf.gather(table, indices)
    return tf.gather(tf.reshape(table, [-1]), indices * 3 + tf.range(3))


def _values(tf):
    return tf.range(256, dtype=tf.float32)


def _clipped(tf, values):
    """Floats to uint8, cut off at 0 and 255 and towards zero, as Pillow's blending does it."""
    return tf.cast(tf.clip_by_value(values, 0.0, 255.0), tf.uint8)


def _auto_contrast(tf, image, argument, fill):
    lowest, highest = (tf.cast(limit(image, axis=[0, 1]), tf.float32) for limit in (tf.reduce_min, tf.reduce_max))
    scale = tf.where(highest > lowest, 255.0 / tf.maximum(highest - lowest, 1.0), 1.0)
    offset = tf.where(highest > lowest, lowest, 0.0)
    return _looked_up(tf, image, _clipped(tf, (_values(tf)[:, None] - offset) * scale + 1e-4))


def _equalize(tf, image, argument, fill):
    shifted = tf.reshape(tf.cast(image, tf.int32) + 256 * tf.range(3), [-1])
    counts = tf.reshape(tf.math.bincount(shifted, minlength=768, maxlength=768), (3, 256))
    last = tf.reduce_max(tf.where(counts > 0, tf.range(256), 0), axis=1)
    step = (tf.reduce_sum(counts, axis=1) - tf.gather(counts, last, batch_dims=1)) // 255
    below = tf.cumsum(counts, axis=1, exclusive=True) + step[:, None] // 2
    table = tf.where(step[:, None] > 0, below // tf.maximum(step, 1)[:, None], tf.range(256))
    return _looked_up(tf, image, tf.cast(tf.transpose(tf.minimum(table, 255)), tf.uint8))


def _invert(tf, image, argument, fill):
    return 255 - image


def _posterize(tf, image, bits, fill):
    mask = 256 - tf.bitwise.left_shift(1, 8 - tf.cast(bits, tf.int32))
    return tf.bitwise.bitwise_and(image, tf.cast(mask, tf.uint8))


def _solarize(tf, image, threshold, fill):
    values = _values(tf)
    return _looked_up(tf, image, _clipped(tf, tf.where(values < threshold, values, 255 - values)))


def _solarize_add(tf, image, addition, fill):
    values = _values(tf)
    return _looked_up(tf, image, _clipped(tf, tf.where(values < 128, values + addition, values)))


def _grey(tf, image):
    """Pillow's brightness: `(height, width, 1)` floats of whole numbers."""
    return tf.floor(tf.tensordot(tf.cast(image, tf.float32), GREY, 1) + 0.5)[..., None]


def _color(tf, image, factor, fill):
    grey = _grey(tf, image)
    return _clipped(tf, grey + (tf.cast(image, tf.float32) - grey) * factor)


def _contrast(tf, image, factor, fill):
    mean = tf.floor(tf.reduce_mean(_grey(tf, image)) + 0.5)
    return _looked_up(tf, image, _clipped(tf, mean + (_values(tf) - mean) * factor))


def _brightness(tf, image, factor, fill):
    return _looked_up(tf, image, _clipped(tf, _values(tf) * factor))


def _sharpness(tf, image, factor, fill):
    pixels = tf.cast(image, tf.float32)
    kernel = tf.constant([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]])[:, :, None, None] / 13
    smooth = tf.nn.depthwise_conv2d(pixels[None], tf.tile(kernel, (1, 1, 3, 1)), [1, 1, 1, 1], "VALID")[0]
    smooth = tf.floor(smooth + 0.5)
    inside = smooth + (pixels[1:-1, 1:-1] - smooth) * factor  # Pillow leaves the border as it is
    padded = tf.pad(_clipped(tf, inside), [[1, 1], [1, 1], [0, 0]])
    height, width = image.shape[:2]
    border = tf.pad(tf.zeros((height - 2, width - 2, 1), tf.bool), [[1, 1], [1, 1], [0, 0]], constant_values=True)
    return tf.where(border, image, padded)


def _rotate(tf, image, degrees, fill):
    height, width = image.shape[:2]
    angle = -degrees * (math.pi / 180)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    x, y = width / 2, height / 2
    return _moved(tf, image, (cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y), fill)


def _shear_x(tf, image, slope, fill):
    return _moved(tf, image, (1.0, slope, 0.0, 0.0, 1.0, 0.0), fill)


def _shear_y(tf, image, slope, fill):
    return _moved(tf, image, (1.0, 0.0, 0.0, slope, 1.0, 0.0), fill)


def _translate_x(tf, image, share, fill):
    return _moved(tf, image, (1.0, 0.0, share * image.shape[1], 0.0, 1.0, 0.0), fill)


def _translate_y(tf, image, share, fill):
    return _moved(tf, image, (1.0, 0.0, 0.0, 0.0, 1.0, share * image.shape[0]), fill)


def _moved(tf, image, matrix, fill):
    """An affine map from places in the result to places in the image, of the centres of pixels as in Pillow."""
    height, width = image.shape[:2]
    a, b, c, d, e, f = matrix
    shifted = (a, b, c + (a + b - 1) / 2, d, e, f + (d + e - 1) / 2)  # TensorFlow counts from the first centre
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(image, tf.float32)[None],
        transforms=tf.stack([tf.cast(value, tf.float32) for value in (*shifted, 0.0, 0.0)])[None],
        output_shape=(height, width),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )[0]
    columns = tf.range(width, dtype=tf.float32) + 0.5
    rows = tf.range(height, dtype=tf.float32)[:, None] + 0.5
    x, y = a * columns + b * rows + c, d * columns + e * rows + f
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return tf.where(inside[..., None], tf.cast(moved, tf.uint8), tf.constant(fill, tf.uint8))


_FUNCTIONS = dict(
    zip(
        (operation.name for operation in OPERATIONS),
        (
            *(_auto_contrast, _equalize, _invert, _rotate, _posterize, _solarize, _solarize_add),
            *(_color, _contrast, _brightness, _sharpness, _shear_x, _shear_y, _translate_x, _translate_y),
        ),
        strict=True,
    )
)
