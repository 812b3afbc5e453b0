"""Operations within tf.data against Pillow's, on real photographs."""

import numpy as np
import pytest

from keras_deit.data.augment import tensorflow_ops
from keras_deit.data.augment.operation_names import FILL, NAMES, NOTHING
from tests.data.images import OPERATION_ARGUMENTS, photographs

pillow = pytest.importorskip("PIL.Image", reason="the reference is Pillow")
enhance = pytest.importorskip("PIL.ImageEnhance", reason="the reference is Pillow")
image_filter = pytest.importorskip("PIL.ImageFilter", reason="the reference is Pillow")
image_ops = pytest.importorskip("PIL.ImageOps", reason="the reference is Pillow")
tf = pytest.importorskip("tensorflow", reason="the operations are TensorFlow's")


def affine(image, matrix):
    return image.transform(image.size, pillow.Transform.AFFINE, matrix, pillow.Resampling.BILINEAR, fillcolor=FILL)


def solarize_add(image, addition):
    table = [min(255, value + int(addition)) if value < 128 else value for value in range(256)]
    return image.point(table * 3)


BY_PILLOW = {
    "AutoContrast": lambda image, _: image_ops.autocontrast(image),
    "Equalize": lambda image, _: image_ops.equalize(image),
    "Invert": lambda image, _: image_ops.invert(image),
    "Grayscale": lambda image, _: image_ops.grayscale(image).convert("RGB"),
    "GaussianBlur": lambda image, radius: image.filter(image_filter.GaussianBlur(radius)),
    "Rotate": lambda image, degrees: image.rotate(degrees, pillow.Resampling.BILINEAR, fillcolor=FILL),
    "Posterize": lambda image, bits: image_ops.posterize(image, int(bits)),
    "Solarize": image_ops.solarize,
    "SolarizeAdd": solarize_add,
    "Color": lambda image, factor: enhance.Color(image).enhance(factor),
    "Contrast": lambda image, factor: enhance.Contrast(image).enhance(factor),
    "Brightness": lambda image, factor: enhance.Brightness(image).enhance(factor),
    "Sharpness": lambda image, factor: enhance.Sharpness(image).enhance(factor),
    "ShearX": lambda image, slope: affine(image, (1, slope, 0, 0, 1, 0)),
    "ShearY": lambda image, slope: affine(image, (1, 0, 0, slope, 1, 0)),
    "TranslateX": lambda image, share: affine(image, (1, 0, share * image.size[0], 0, 1, 0)),
    "TranslateY": lambda image, share: affine(image, (1, 0, 0, 0, 1, share * image.size[1])),
}


@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_those_of_pillow(name):
    for pixels in photographs():
        for argument in OPERATION_ARGUMENTS.get(name, (0,)):
            expected = np.asarray(BY_PILLOW[name](pillow.fromarray(pixels), argument)).astype(int)
            received = tensorflow_ops.apply(
                tf.constant(pixels), tf.constant([NAMES.index(name)]), tf.constant([argument], tf.float32)
            )
            assert received.dtype == tf.uint8
            difference = np.abs(received.numpy() - expected)
            assert difference.max() <= 2, (argument, difference.max(), (difference > 2).sum())


def test_posterizing_to_no_bit_gives_black():
    received = tensorflow_ops.apply(
        tf.constant(photographs()[0]), tf.constant([NAMES.index("Posterize")]), tf.constant([0.0])
    )
    assert not received.numpy().any()


def test_several_operations_are_applied_in_order_within_a_dataset():
    pixels = photographs()[0]
    chosen, arguments = [NAMES.index("Invert"), NOTHING, NAMES.index("Brightness")], [0.0, 0.0, 0.5]
    dataset = tf.data.Dataset.from_tensors((pixels, np.array(chosen, "int32"), np.array(arguments, "float32")))
    (received,) = dataset.map(lambda *parts: tensorflow_ops.apply(*parts))
    np.testing.assert_array_equal(received.numpy(), ((255 - pixels) * 0.5).astype("uint8"))
