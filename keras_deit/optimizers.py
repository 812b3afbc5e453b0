"""Optimisers of the recipes, where Keras's own differ from those of the published runs.

All four clip by `global_clipnorm` over the whole batch. Keras's own optimisers, on several replicas of TensorFlow, clip the
gradient of each replica's share before they sum the shares.
"""

import re
import types
import warnings

import keras
import numpy as np
from keras import ops

from keras_deit.runtime.keras_private import OptimizerInternals

__all__ = ["LAMB", "SGD", "AdamW", "LayerwiseAdamW"]


FIRST_LAYERS = ("patch_embedding", "prefix_tokens")
BLOCK = "block_"  # followed by the block's number, from 1
FINAL_NORM = "norm"
HEAD = "head"


class _WholeBatchClipping(OptimizerInternals):
    """Sums the gradients over the replicas before they are clipped by `global_clipnorm`, instead of afterwards."""

    def build(self, variables):
        epsilon = getattr(self, "epsilon", None)
        is_half = any(keras.backend.standardize_dtype(variable.dtype) == "float16" for variable in variables)
        if epsilon and is_half and not np.float16(epsilon):
            raise ValueError(
                "`epsilon` must not be 0 in the dtype of the weights, float16, where a gradient of 0 would make them NaN. "
                f'Received: epsilon={epsilon}. Build the model with dtype="mixed_float16", whose weights are float32.'
            )
        super().build(variables)

    def clip_gradients(self, gradients):
        if self.global_clipnorm and keras.backend.backend() == "tensorflow":
            pairs = super().reduce_gradients([(gradient, None) for gradient in gradients])
            gradients = [gradient for gradient, _ in pairs]
        return super().clip_gradients(gradients)

    def reduce_gradients(self, gradients_and_variables):
        if self.global_clipnorm:  # already summed by `clip_gradients`
            return gradients_and_variables
        return super().reduce_gradients(gradients_and_variables)


class _DecayInUpdate(_WholeBatchClipping):
    """Withholds `weight_decay` from Keras's base class, which would apply its own decay, and leaves it to `update_step`."""

    def __init__(self, *args, weight_decay=0.0, **kwargs):
        super().__init__(*args, weight_decay=None, **kwargs)
        self.decay = weight_decay or 0.0  # None means no decay, as in Keras

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        # In a namespace, because Keras would take variables that are assigned directly for those of the optimiser.
        self._built_for = types.SimpleNamespace(variables=list(variables))

    def keras_variable(self, variable):
        """The Keras variable of a variable that `update_step` receives, which on TensorFlow is the `tf.Variable` inside."""
        return self._built_for.variables[self.variable_index(variable)]

    def decays(self, variable):
        """Whether `update_step` must decay a variable."""
        return bool(self.decay) and self.uses_weight_decay(self.keras_variable(variable))

    def get_config(self):
        return {**super().get_config(), "weight_decay": self.decay}


@keras.saving.register_keras_serializable(package="keras_deit")
class AdamW(_WholeBatchClipping, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW`, clipping over the whole batch.

    Args:
        *args, **kwargs: As for `keras.optimizers.AdamW`.

    Example:

    >>> optimizer = AdamW(0.1, weight_decay=0.5, epsilon=1e-8)
    >>> weight = keras.Variable([1.0])
    >>> optimizer.apply([ops.convert_to_tensor([2.0])], [weight])
    >>> round(float(weight.numpy()[0]), 4)  # 1 - 0.1 · 0.5 · 1 for the decay, minus 0.1 for the step
    0.85

    Reference:
        Loshchilov and Hutter, 2017 (arXiv 1711.05101), algorithm 2.
    """


@keras.saving.register_keras_serializable(package="keras_deit")
class LAMB(_DecayInUpdate, keras.optimizers.Optimizer):
    """LAMB as in the runs of DeiT III.

    `keras.optimizers.Lamb` differs in two points. Here the weight decay is added to the update before the trust ratio is
    computed, and variables without decay (`exclude_from_weight_decay`: biases, norms, tokens) have no trust ratio.

    Args:
        learning_rate: Float, schedule or callable.
        beta_1: Decay rate of the mean of the gradients, in 0..1.
        beta_2: Decay rate of the mean of their squares, in 0..1.
        epsilon: Positive float, added to the root of the mean square. The published runs use 1e-6.
        weight_decay: Coefficient of the decay, not negative.
        **kwargs: As for `keras.optimizers.Optimizer`. The published runs use `global_clipnorm=1.0`.

    Example:

    >>> optimizer = LAMB(0.1, epsilon=1e-6, weight_decay=0.5)
    >>> weight = keras.Variable([3.0])
    >>> optimizer.apply([ops.convert_to_tensor([2.0])], [weight])
    >>> round(float(weight.numpy()[0]), 4)  # the update, 1 + 0.5 · 3, is rescaled to the weight's norm: 3 - 0.1 · 3
    2.7

    Reference:
        You et al., 2019 (arXiv 1904.00962), algorithm 2; Touvron et al., 2022 (arXiv 2204.07118), section 3. The details are
        those of apex's FusedLAMB and of timm's `Lamb`.
    """

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, variables):
        """Creates the moments of the variables, see `keras.optimizers.Optimizer.build`."""
        if self.built:
            return
        super().build(variables)
        self.momentums, self.velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable, see `keras.optimizers.Optimizer.update_step`."""
        dtype, index = variable.dtype, self.variable_index(variable)
        momentum, velocity = self.momentums[index], self.velocities[index]
        gradient = ops.cast(gradient, dtype)
        step = ops.cast(self.iterations + 1, dtype)
        self.assign(momentum, self.beta_1 * momentum + (1 - self.beta_1) * gradient)
        self.assign(velocity, self.beta_2 * velocity + (1 - self.beta_2) * ops.square(gradient))
        mean = momentum / (1 - ops.power(ops.cast(self.beta_1, dtype), step))
        variance = velocity / (1 - ops.power(ops.cast(self.beta_2, dtype), step))
        update = mean / (ops.sqrt(variance) + self.epsilon)
        if self.decays(variable):
            update = update + self.decay * variable
            update = update * _trust_ratio(variable, update)
        self.assign_sub(variable, ops.cast(learning_rate, dtype) * update)

    def get_config(self):
        moments = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        return {**super().get_config(), **moments}


@keras.saving.register_keras_serializable(package="keras_deit")
class SGD(_DecayInUpdate, keras.optimizers.SGD):
    """SGD with L2 regularisation: the weight decay is added to the gradient and so enters the momentum, as in PyTorch.

    Args:
        *args, **kwargs: As for `keras.optimizers.SGD`.
        weight_decay: Coefficient of the decay, not negative.

    Example:

    >>> optimizer = SGD(0.1, weight_decay=0.5)
    >>> weight = keras.Variable([4.0])
    >>> optimizer.apply([ops.convert_to_tensor([1.0])], [weight])
    >>> round(float(weight.numpy()[0]), 4)  # 4 - 0.1 · (1 + 0.5 · 4)
    3.7

    Reference:
        `torch.optim.SGD`; Loshchilov and Hutter, 2017 (arXiv 1711.05101), algorithm 1, names the difference.
    """

    def update_step(self, gradient, variable, learning_rate):
        if self.decays(variable):
            gradient = ops.cast(gradient, variable.dtype) + self.decay * variable
        super().update_step(gradient, variable, learning_rate)


@keras.saving.register_keras_serializable(package="keras_deit")
class LayerwiseAdamW(_DecayInUpdate, keras.optimizers.Adam):
    """AdamW with a smaller learning rate, and so a smaller decay, for earlier layers of a DeiT.

    The heads have the whole rate and the final norm that of the last block. Each block has `layer_decay` times the rate of
    the block after it. The patch embedding and the tokens count as the block before the first one.

    Args:
        *args, **kwargs: As for `keras.optimizers.Adam`.
        layer_decay: Ratio of the rates of two neighbouring blocks, in 0..1.
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
        warnings.warn(
            f"LayerwiseAdamW received num_layers={num_layers}, but the last trained block is block {max(blocks)}. Its rate "
            f"has the factor layer_decay {num_layers + 1 - max(blocks)} times.",
            stacklevel=3,
        )


def _trust_ratio(variable, update):
    weight_norm, update_norm = (ops.sqrt(ops.sum(ops.square(values))) for values in (variable, update))
    ratio = weight_norm / ops.where(update_norm > 0, update_norm, 1.0)
    return ops.where(ops.logical_and(weight_norm > 0, update_norm > 0), ratio, 1.0)
