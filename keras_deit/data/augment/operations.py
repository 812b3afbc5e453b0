"""The operations on pixels that augmentation chooses from, by number.

`keras_deit.data.augment.tensorflow_ops` computes them within `tf.data`, `keras_deit.data.augment.pillow_ops` by Pillow.
"""

NAMES = (
    *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd"),
    *("Color", "Contrast", "Brightness", "Sharpness", "ShearX", "ShearY", "TranslateX", "TranslateY"),
    *("Grayscale", "GaussianBlur"),
)
NOTHING = len(NAMES)  # stands for an operation that is not applied
FILL = (124, 116, 104)  # of what a geometric operation brings in: ImageNet's mean colour, as in timm


def number(name):
    """The number of an operation.

    Args:
        name: One of `NAMES`.

    Returns:
        An integer.
    """
    return NAMES.index(name)
