"""The model that an export writes: images to logits, in float32."""

import keras

from keras_deit.layers.composite import layers_inside
from keras_deit.layers.lora import LORA, lora_layers, merged_weights, without_keys
from keras_deit.models import DeiT, DeiTClassifier
from keras_deit.models.image_model import ImageModel
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.files import format_bytes

OWN_PACKAGES = ("keras", "keras_deit")
FLOATS = ("float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")
MAX_WEIGHTS = 2**31 - 2**24  # bytes: protobuf and FlatBuffers end at 2 GiB, and the operations need less than 16 MiB


def serving_model(model):
    """Turns a model into the one that is exported: images to logits, computed in float32.

    If a model of this package has no names of its classes, a warning says how to add them.

    Args:
        model: A `keras_deit.DeiT`, whose heads are fused by the mean of their logits (for another fusion, pass a
            `keras_deit.DeiTClassifier`); or any Keras model with one image input and one output.

    Returns:
        A Keras model. If all of `model` computes in float32 and without LoRA, the result shares its variables. Otherwise,
        for example in mixed precision, the result is a float32 copy that is built from the config of `model`, with LoRA
        merged into the kernels.

    Raises:
        ValueError: If the model does not have one image input and one output.

    Example:

    >>> import keras_deit as kd
    >>> names = list("abcdefghij")
    >>> deit = kd.DeiT.from_variant("deit_ti", num_classes=10, class_names=names, num_layers=1, dtype="mixed_bfloat16")
    >>> served = serving_model(deit)
    >>> served.output_shape, served.dtype_policy.name
    ((None, 10), 'float32')
    """
    if isinstance(model, DeiT):
        model = DeiTClassifier(model)
    _check(model)
    _warn_of_missing_names(model)
    config = keras.saving.serialize_keras_object(model)
    in_float32 = _in_float32(without_keys(config, LORA))
    if in_float32 == config and not lora_layers(model):
        return model
    copy = keras.saving.deserialize_keras_object(in_float32)
    copy.set_weights([value for _, value in merged_weights(model)])
    return copy


def image_shape(model):
    """Returns the shape of a model's input images.

    Args:
        model: A Keras model with one image input.

    Returns:
        The tuple `(height, width, channels)`; None for each size that the model leaves open.

    Example:

    >>> image_shape(keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten()]))
    (32, 32, 3)
    """
    return tuple(model.inputs[0].shape[1:])


def gives_probabilities(model):
    """Tells whether the last layer or operation of a model is a softmax or a sigmoid, so that its outputs are no logits.

    Args:
        model: A functional or sequential Keras model.

    Returns:
        A boolean.

    Example:

    >>> gives_probabilities(keras.Sequential([keras.Input((8,)), keras.layers.Dense(2, activation="softmax")]))
    True
    """
    last = (model.layers if isinstance(model, keras.Sequential) else model.operations)[-1]
    if isinstance(last, keras.Model):
        return gives_probabilities(last)
    is_activation = type(last).__name__ in ("Softmax", "Sigmoid")  # the layer, or the operation of `keras.ops`
    return is_activation or getattr(last, "activation", None) in (keras.activations.softmax, keras.activations.sigmoid)


def used_tokens(classifier):
    """Lists the tokens whose heads, or whose joined embeddings, give the logits of a classifier.

    Args:
        classifier: A `keras_deit.DeiTClassifier`.

    Returns:
        `["class"]`, `["distillation"]` or `["class", "distillation"]`.

    Example:

    >>> import keras_deit as kd
    >>> used_tokens(kd.DeiTClassifier.from_variant("deit_ti", num_layers=1))
    ['class', 'distillation']
    """
    if classifier.fusion in ("class", "distillation"):
        return [classifier.fusion]
    return ["class", "distillation"] if classifier.backbone.distilled else ["class"]


def check_file_size(model, file):
    """Checks that a single file of an export can hold the weights of a model in float32.

    Args:
        model: A Keras model.
        file: The file for the error message, with an article, such as `"An ONNX"`.

    Raises:
        ValueError: If the weights exceed 2 GiB.

    Example:

    >>> check_file_size(keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten()]), "An ONNX")
    """
    num_bytes = 4 * model.count_params()
    if num_bytes > MAX_WEIGHTS:
        raise ValueError(
            f"{file} file holds weights of at most {format_bytes(MAX_WEIGHTS)}. Received: a model with "
            f"{format_bytes(num_bytes)} of weights. Export to SavedModel."
        )


def other_class(model):
    """Names a class because of which a model may compute something else than `DeiT` and `DeiTClassifier` do.

    The exports that rebuild a DeiT from its weights leave out what a subclass computes.

    Args:
        model: A Keras model.

    Returns:
        The name of the model's class, if it is another one; or of the first subclass that the user wrote inside of the
        model: of its `DeiT`, its backbone, a block or another layer. None if there is no such class.

    Example:

    >>> import keras_deit as kd
    >>> other_class(kd.DeiTClassifier.from_variant("deit_ti", num_layers=1)) is None
    True
    >>> other_class(keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten()]))
    'Sequential'
    """
    if type(model) not in (DeiT, DeiTClassifier):
        return type(model).__name__
    classes = map(type, [getattr(model, "deit", model), model.backbone, *layers_inside(model)])
    return next((found.__name__ for found in classes if found.__module__.split(".")[0] not in OWN_PACKAGES), None)


def _check(model):
    inputs = getattr(model, "inputs", None) or []
    outputs = getattr(model, "outputs", None) or []
    if len(inputs) == 1 and len(inputs[0].shape) == 4 and len(outputs) == 1:
        return
    raise ValueError(
        "Expected a functional or sequential Keras model with one input (batch, height, width, channels) and one output "
        f"of logits. Received: {type(model).__name__} with inputs of shapes {[tensor.shape for tensor in inputs]} and "
        f"{len(outputs)} outputs. From a Distiller, export its `student`; from several outputs, select one with keras.Model."
    )


def _warn_of_missing_names(model):
    if isinstance(model, ImageModel) and model.class_names is None:
        warn_caller(
            "The model has no names of its classes, so the exported file has none either. Assign the names before the "
            "export, in the order of the logits: `model.class_names = [...]`, for example `class_names` of the dataset."
        )


def _in_float32(config):
    """Copies the config of a model: every layer computes in float32."""
    if isinstance(config, (list, tuple)):
        return type(config)(_in_float32(value) for value in config)
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy":
        return keras.dtype_policies.serialize(keras.DTypePolicy("float32"))
    return {
        key: "float32" if key == "dtype" and value in FLOATS else _in_float32(value) for key, value in config.items()
    }
