"""How the models of keras.applications take their images."""

import functools

import keras

from keras_deit.choices import APPLICATIONS


def find_preprocessing(name):
    """Finds the function that prepares images for a model of keras.applications.

    Args:
        name: Name of a module, such as `"resnet50"`, or of a model, such as `"ResNet101"`, in upper or lower case.

    Returns:
        Function from pixels in 0..255, `(batch, height, width, 3)`, to the input of the model; None for an unknown name.

    Example:

    >>> pixels = keras.ops.full((1, 1, 1, 3), 255.0)
    >>> keras.ops.convert_to_numpy(find_preprocessing("MobileNetV2")(pixels)).ravel().tolist()
    [1.0, 1.0, 1.0]
    """
    models = {model_name.lower(): model for model_name, model in vars(keras.applications).items() if callable(model)}
    model = models.get(str(name).lower())
    name = name if model is None else model.__module__.rpartition(".")[2]  # a model's function, in its module
    if name not in APPLICATIONS:
        return None
    return functools.partial(getattr(keras.applications, name).preprocess_input, data_format="channels_last")
