"""The operations of augmentation with Pillow."""

from keras_deit.data.augment.operation_names import FILL, NAMES, NOTHING
from keras_deit.runtime.optional import require


def apply(image, operations, arguments):
    """Applies operations one after the other.

    Args:
        image: Pillow image, RGB.
        operations, arguments: Indices of operations and their arguments, see `policies.RandAugment`.

    Returns:
        Pillow image.
    """
    for operation, argument in zip(operations, arguments, strict=True):
        if operation != NOTHING:
            image = _FUNCTIONS[NAMES[operation]](image, float(argument))
    return image


def _pillow(module):
    return require(f"PIL.{module}", extra="weights", purpose="Augmentation without TensorFlow")


def _by_image_ops(name):
    return lambda image, argument: getattr(_pillow("ImageOps"), name)(image)


def _enhanced(name):
    return lambda image, factor: getattr(_pillow("ImageEnhance"), name)(image).enhance(factor)


def _posterize(image, bits):
    mask = 256 - 2 ** (8 - int(bits))  # 0 for no bit, which recent versions of Pillow's own refuse
    return image.point([value & mask for value in range(256)] * 3)


def _solarize(image, threshold):
    return _pillow("ImageOps").solarize(image, threshold)


def _solarize_add(image, addition):
    return image.point([min(255, value + int(addition)) if value < 128 else value for value in range(256)] * 3)


def _rotate(image, degrees):
    return image.rotate(degrees, _pillow("Image").Resampling.BILINEAR, fillcolor=FILL)


def _affine(matrix):
    def transform(image, argument):
        pillow = _pillow("Image")
        coefficients = matrix(argument, *image.size)
        return image.transform(
            image.size, pillow.Transform.AFFINE, coefficients, pillow.Resampling.BILINEAR, fillcolor=FILL
        )

    return transform


def _grayscale(image, argument):
    return image.convert("L").convert("RGB")


def _gaussian_blur(image, radius):
    return image.filter(_pillow("ImageFilter").GaussianBlur(radius))


_FUNCTIONS = {
    "AutoContrast": _by_image_ops("autocontrast"),
    "Equalize": _by_image_ops("equalize"),
    "Invert": _by_image_ops("invert"),
    "Rotate": _rotate,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "SolarizeAdd": _solarize_add,
    "Color": _enhanced("Color"),
    "Contrast": _enhanced("Contrast"),
    "Brightness": _enhanced("Brightness"),
    "Sharpness": _enhanced("Sharpness"),
    "ShearX": _affine(lambda slope, width, height: (1, slope, 0, 0, 1, 0)),
    "ShearY": _affine(lambda slope, width, height: (1, 0, 0, slope, 1, 0)),
    "TranslateX": _affine(lambda share, width, height: (1, 0, share * width, 0, 1, 0)),
    "TranslateY": _affine(lambda share, width, height: (1, 0, 0, 0, 1, share * height)),
    "Grayscale": _grayscale,
    "GaussianBlur": _gaussian_blur,
}
