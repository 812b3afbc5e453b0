"""Merging the low-rank adaptation (LoRA) of Keras's layers into their kernels."""

import keras

from keras_deit.layers.composite import CHANGES, layers_inside

LORA = ("lora_rank", "lora_alpha")  # in the configs of Keras's layers, and in the changes of sublayers


def lora_layers(model):
    """Lists the layers of a model whose `enable_lora` was called.

    Args:
        model: Keras model or layer.

    Returns:
        List of layers.
    """
    return [layer for layer in layers_inside(model) if getattr(layer, "lora_enabled", False)]


def merged_weights(model):
    """Returns the weights that a model without LoRA needs to compute the same outputs.

    Args:
        model: Keras model, with LoRA in some, all or none of its layers. It is not changed.

    Returns:
        List of pairs, in the order of `model.weights`: the variable, and its value as a NumPy array. A kernel with LoRA
        has the value `kernel + alpha / rank * a @ b`, in float32 at least. The variables of LoRA are left out.

    Raises:
        ValueError: If a layer has LoRA and is quantized.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> model.layers[0].enable_lora(rank=1)
    >>> [variable.name for variable, _ in merged_weights(model)]
    ['kernel', 'bias']

    Reference:
        Hu et al., 2021 (arXiv 2106.09685), section 4.1.
    """
    merged, left_out = {}, set()
    for layer in lora_layers(model):
        if layer.quantization_mode is not None:
            raise ValueError(
                f"LoRA cannot be merged into the quantized kernel of {layer.path}. Save the model as `.keras` and load it: "
                "Keras merges LoRA when it saves."
            )
        own = {variable.name: variable for variable in layer.weights}
        kernel, a, b = (own[name] for name in ("kernel", "lora_kernel_a", "lora_kernel_b"))
        update = layer.lora_alpha / layer.lora_rank * (_to_numpy(a) @ _to_numpy(b))
        merged[id(kernel)] = _to_numpy(kernel) + update
        left_out |= {id(a), id(b)}
    return [
        (variable, merged[id(variable)] if id(variable) in merged else _to_numpy(variable))
        for variable in model.weights
        if id(variable) not in left_out
    ]


def without_keys(config, names):
    """Copies a config without some of its keys.

    Args:
        config: Config of a model or layer: dictionaries and lists, inside of each other.
        names: The keys that are left out of every dictionary.

    Returns:
        The copy.

    Example:

    >>> without_keys({"units": 2, "lora_rank": 8, "inside": [{"lora_alpha": 8}]}, LORA)
    {'units': 2, 'inside': [{}]}
    """
    if isinstance(config, (list, tuple)):
        return type(config)(without_keys(value, names) for value in config)
    if not isinstance(config, dict):
        return config
    return {key: without_keys(value, names) for key, value in config.items() if key not in names}


def merge(model):
    """Builds the plain model that computes what a model with LoRA computes.

    Args:
        model: Keras model, with LoRA in some, all or none of its layers. It is not changed.

    Returns:
        A model of the same class with other variables, not compiled: each kernel is `kernel + alpha / rank * a @ b`. No
        layer inside of it has LoRA, and all of them are trained, also those that are frozen in `model`.

    Raises:
        ValueError: If a layer is quantized.

    Example:

    >>> import keras_deit as kd
    >>> deit = kd.DeiT.from_variant("deit_ti", num_classes=10, num_layers=1)
    >>> kd.lora.enable(deit, rank=8)
    >>> plain = kd.lora.merge(deit)
    >>> len(deit.weights) - len(plain.weights)  # two matrices in each of four layers
    8

    Reference:
        Hu et al., 2021 (arXiv 2106.09685), section 4.1.
    """
    quantized = [layer.path for layer in layers_inside(model) if layer.quantization_mode is not None]
    if quantized:
        raise ValueError(
            f"LoRA can be merged only into kernels of floats. Received: a model with quantized layers, such as "
            f"{quantized[0]}. Merge LoRA before `model.quantize`."
        )
    config = without_keys(keras.saving.serialize_keras_object(model), (*LORA, CHANGES, "compile_config"))
    merged = keras.saving.deserialize_keras_object(config)
    merged.set_weights([value for _, value in merged_weights(model)])
    for layer in (merged, *layers_inside(merged)):
        layer.trainable = True
    return merged


def _to_numpy(variable):
    return keras.ops.convert_to_numpy(variable.value)
