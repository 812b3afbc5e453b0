"""The operations on pixels that augmentation chooses from; an operation is identified by its index in `NAMES`.

`tensorflow_ops` computes them within `tf.data`, `pillow_ops` with Pillow.
"""

NAMES = (
    *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd"),
    *("Color", "Contrast", "Brightness", "Sharpness", "ShearX", "ShearY", "TranslateX", "TranslateY"),
    *("Grayscale", "GaussianBlur"),
)
NOTHING = len(NAMES)  # the index that stands for no operation
FILL = (124, 116, 104)  # colour of pixels from outside the image: ImageNet's mean colour, as in timm


def index_of(name):
    """Returns the index of an operation.

    Args:
        name: One of `NAMES`.

    Returns:
        An integer.
    """
    return NAMES.index(name)
