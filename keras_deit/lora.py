"""Low-rank adaptation (LoRA): fine-tuning small matrices beside the kernels of the encoder."""

import numbers

import keras

from keras_deit.layers import MLP, LayerScale, MultiHeadSelfAttention, PatchEmbedding, PrefixTokens, TokenNorm
from keras_deit.layers.composite import layers_inside
from keras_deit.layers.dense import TokenDense
from keras_deit.layers.lora import merge
from keras_deit.runtime.numpy_numbers import check_at_least, python_number

__all__ = ["enable", "merge"]

LAYERS = {"attention": (MultiHeadSelfAttention, ("qkv", "projection")), "mlp": (MLP, ("expansion", "reduction"))}
_ENCODER = (PatchEmbedding, PrefixTokens, TokenNorm, LayerScale, TokenDense)  # the layers with variables


def enable(model, rank=8, alpha=None, layers=("attention", "mlp")):
    """Gives the dense layers of the encoder blocks LoRA, and freezes all other variables of the encoder.

    Each kernel `(inputs, outputs)` becomes `kernel + alpha / rank * a @ b`, with the matrices `a` of shape
    `(inputs, rank)` and `b` of shape `(rank, outputs)`. The initial values of `b` are zero, so the model computes the same
    as before. Afterwards only these matrices and the layers outside of the encoder are trained, such as the heads. Layers
    that are frozen already stay frozen, and get no LoRA. The call takes effect at the next `compile`.

    On TensorFlow, a model around `model` keeps the graph of its first `fit`, `evaluate` or `predict`, without LoRA. Enable
    LoRA before the first of these calls, or compile the model around `model` afterwards.

    `model.save` and `model.save_weights` keep the matrices. `keras_deit.weights.to_timm`, `to_official` and
    `to_huggingface` and the exports add them to the kernels that they write.

    Args:
        model: Built model with encoder blocks, such as a `keras_deit.DeiT`. The model is changed.
        rank: Number of columns of `a`, a positive integer.
        alpha: Scale of the update, a positive number; None means `rank`, so that the scale `alpha / rank` is 1.
        layers: List of the layers that get LoRA: `"attention"` (queries, keys, values and projection) and `"mlp"`.

    Raises:
        ValueError: If a value is out of range, a layer has LoRA already or is quantized, or there are no such layers to
            train.

    Example:

    >>> import keras_deit as kd
    >>> deit = kd.DeiT.from_variant("deit_ti", num_classes=10, num_layers=1)
    >>> kd.lora.enable(deit, rank=8)
    >>> [variable.path for variable in deit.trainable_variables][:2]
    ['block_1/attention/qkv/lora_kernel_a', 'block_1/attention/qkv/lora_kernel_b']

    Reference:
        Hu et al., 2021 (arXiv 2106.09685), section 4.1.
    """
    rank, alpha = python_number(rank), python_number(alpha)
    _check_arguments(rank, alpha, layers)
    _check_model(model)
    chosen = _chosen_layers(model, layers)
    for layer in layers_inside(model):
        if isinstance(layer, _ENCODER) and layer not in chosen:
            layer.trainable = False
    for layer in chosen:
        layer.enable_lora(rank, lora_alpha=alpha)
        layer.bias.trainable = False
    for one in (model, getattr(model, "deit", None), *layers_inside(model)):
        if isinstance(one, keras.Model):
            one.train_function = one.test_function = one.predict_function = None  # traced without LoRA


def _check_arguments(rank, alpha, layers):
    check_at_least(1, rank=rank)
    if alpha is not None and not (isinstance(alpha, numbers.Real) and alpha > 0):
        raise ValueError(f"`alpha` must be a positive number, or None for `rank`. Received: alpha={alpha!r}")
    if isinstance(layers, str) or not layers or not set(layers) <= set(LAYERS):
        raise ValueError(f"`layers` must be a list with some of {list(LAYERS)}. Received: layers={layers!r}")


def _check_model(model):
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: {type(model).__name__}")
    if getattr(model, "student", None) is not None:
        raise ValueError(
            f"Expected the model to fine-tune. Received: a {type(model).__name__}. Enable LoRA in its `student`, and "
            "compile the Distiller afterwards."
        )
    inside = layers_inside(model)
    if any(layer.lora_enabled for layer in inside if isinstance(layer, TokenDense)):
        raise ValueError(
            "The model has LoRA already. `keras_deit.lora.merge(model)` returns a model without LoRA, to begin again."
        )
    if any(layer.quantization_mode for layer in inside):
        raise ValueError(
            "LoRA is trained beside kernels of floats. Received: a quantized model. Enable LoRA before `model.quantize`, "
            "and quantize the model that `keras_deit.lora.merge` returns."
        )


def _chosen_layers(model, names):
    classes = dict(LAYERS[name] for name in names)
    parents = [layer for layer in layers_inside(model) if type(layer) in classes]
    dense = [getattr(parent, name) for parent in parents for name in classes[type(parent)]]
    chosen = [layer for layer in dense if layer.trainable]
    if not chosen:
        problem = "all of them are frozen" if dense else "the model has none"
        raise ValueError(
            f"LoRA is for the dense layers of encoder blocks, and {problem}. Received: {type(model).__name__}, "
            f"layers={list(names)}. Unfreeze some, or pass a model such as keras_deit.DeiT."
        )
    return chosen
