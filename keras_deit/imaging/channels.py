"""Images of one channel and of three, and models that take another number of channels than the images have."""

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601: the shares of red, green and blue in grey, as in Pillow's `convert("L")`


def count_channels(number):
    """Names a number of channels, such as `1 channel`.

    Example:

    >>> count_channels(1), count_channels(3)
    ('1 channel', '3 channels')
    """
    return f"{number} channel{'' if number == 1 else 's'}"


def advise_wrapping(input_shape, channels):
    """Says how a model is wrapped in one that takes images of another number of channels.

    Args:
        input_shape: `(height, width, channels)` of the images that the model takes.
        channels: Number of channels of the images that the wrapped model takes.

    Returns:
        A sentence with the code.

    Example:

    >>> print(advise_wrapping((28, 28, 1), 3))
    Wrap the model in one that converts the images: `images = keras.Input((28, 28, 3)); wrapped = keras.Model(images, \
model(keras.ops.image.rgb_to_grayscale(images)))`.
    """
    height, width, expected = input_shape
    converted = "convert(images)"  # a function of the user
    if (channels, expected) == (3, 1):
        converted = "keras.ops.image.rgb_to_grayscale(images)"
    elif channels == 1:
        converted = f"keras.ops.repeat(images, {expected}, axis=-1)"
    return (
        f"Wrap the model in one that converts the images: `images = keras.Input(({height}, {width}, {channels})); "
        f"wrapped = keras.Model(images, model({converted}))`."
    )
