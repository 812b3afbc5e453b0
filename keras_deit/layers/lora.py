"""Merging the low-rank adaptation (LoRA) of Keras's layers into their kernels."""

import keras

from keras_deit.layers.composite import layers_inside


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


def _to_numpy(variable):
    return keras.ops.convert_to_numpy(variable.value)
