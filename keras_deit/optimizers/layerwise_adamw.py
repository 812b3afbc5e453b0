"""AdamW with a learning rate for each layer."""

import re

import keras
from keras import ops

from keras_deit.optimizers import torch_lists
from keras_deit.optimizers.base import DecayInUpdate
from keras_deit.runtime.caller_warning import warn_caller

FIRST_LAYERS = ("patch_embedding", "prefix_tokens")
BLOCK = "block_"  # followed by the block's number, from 1
FINAL_NORM = "norm"
HEAD = "head"


@keras.saving.register_keras_serializable(package="keras_deit")
class LayerwiseAdamW(DecayInUpdate, keras.optimizers.Adam):
    """AdamW with smaller learning rates, and therefore smaller decay, for earlier layers of a DeiT.

    The heads have the full learning rate, as have the other layers of a model that contains the DeiT. Each block has
    `layer_decay` times the learning rate of the block after it. The last block has `layer_decay` times the full learning
    rate, as has the final norm. The patch embedding and the tokens have `layer_decay` times the learning rate of the first
    block.

    Args:
        *args: As for `keras.optimizers.Adam`.
        **kwargs: As for `keras.optimizers.Adam`.
        layer_decay: Learning rate of a block divided by that of the next block, in 0..1.
        num_layers: Number of blocks of the model.
        weight_decay: Coefficient of the decay, not negative.

    Raises:
        ValueError: When the optimizer is built: if none of the variables belongs to a DeiT, or a block's number is above
            `num_layers`. If the last trained block is below `num_layers`, a warning says so.

    Example:

    >>> optimizer = LayerwiseAdamW(1e-3, layer_decay=0.5, num_layers=12, weight_decay=0.05)
    >>> [optimizer.scale(f"{layer}/kernel") for layer in ("class_head", "block_12/attention/qkv", "block_11/attention/qkv")]
    [1.0, 0.5, 0.25]

    Reference:
        timm's `param_groups_layer_decay`; Clark et al., 2020, ELECTRA (arXiv 2003.10555), section 3.1; Bao et al., 2021,
        BEiT (arXiv 2106.08254).
    """

    def __init__(self, *args, layer_decay, num_layers, **kwargs):
        super().__init__(*args, **kwargs)
        self.layer_decay = layer_decay
        self.num_layers = num_layers

    def build(self, variables):
        """Creates the moments of the variables, after a check that the variables are those of a DeiT."""
        if not self.built:
            _check_layers([variable.path for variable in variables], self.num_layers)
        super().build(variables)

    def update_step(self, gradient, variable, learning_rate):
        rate = ops.cast(learning_rate, variable.dtype) * self.scale(self.keras_variable(variable).path)
        if self.decays(variable):
            self.assign_sub(variable, rate * self.decay * variable)
        super().update_step(gradient, variable, rate)

    def update_lists(self, tensors, gradients, variables, rate):
        """Updates all variables at once on PyTorch, see `keras_deit.optimizers.base.RecipeOptimizer`."""
        scales = [self.scale(variable.path) for variable in variables]
        if self.decay:
            fractions = [self.decay * self.decays(one) * scale for one, scale in zip(variables, scales, strict=True)]
            torch_lists.decay(tensors, fractions, rate)
        torch_lists.adam(tensors, *self.update_moments(gradients, variables), rate, self.epsilon, scales)

    def scale(self, path):
        """Fraction of the learning rate for a variable.

        Args:
            path: The variable's `path` in the model, for example `"block_3/attention/qkv/kernel"`.

        Returns:
            Float in 0..1.
        """
        layer = _layer_of(path)
        if layer in FIRST_LAYERS:
            steps = self.num_layers + 1
        elif layer.startswith(BLOCK):
            steps = self.num_layers + 1 - _block_number(layer)
        else:
            steps = 1 if layer == FINAL_NORM else 0
        return self.layer_decay**steps

    def get_config(self):
        return {**super().get_config(), "layer_decay": self.layer_decay, "num_layers": self.num_layers}


def _layer_of(path):
    """Returns the layer of a DeiT that a variable's path goes through, or an empty string for another layer.

    The names of the models and scopes around the DeiT come before the layer's name.
    """
    names = path.split("/")[:-1]
    return next(
        (name for name in names if name in (*FIRST_LAYERS, FINAL_NORM) or re.fullmatch(rf"{BLOCK}\d+", name)), ""
    )


def _block_number(layer):
    return int(layer.removeprefix(BLOCK))


def _check_layers(paths, num_layers):
    layers = {_layer_of(path) for path in paths}
    blocks = [_block_number(layer) for layer in layers if layer.startswith(BLOCK)]
    if not any(layers) and not any(HEAD in path for path in paths):
        raise ValueError(
            "LayerwiseAdamW needs the variables of a DeiT, whose layers are called `patch_embedding`, `block_1` and so on. "
            f"Received: variables of other layers, {paths[:3]}. Use AdamW for other models."
        )
    if blocks and max(blocks) > num_layers:
        raise ValueError(
            f"`num_layers` must be the number of the model's blocks. Received: num_layers={num_layers}, but the model has a "
            f"block {max(blocks)}."
        )
    if blocks and max(blocks) < num_layers:
        warn_caller(
            f"LayerwiseAdamW received num_layers={num_layers}, but the last trained block is block {max(blocks)}. Its rate "
            f"has the factor layer_decay {num_layers + 1 - max(blocks)} times."
        )
