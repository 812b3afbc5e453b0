"""The recipes' optimisers, where Keras's differ from the published ones."""

import re

import keras
from keras import ops


class _ClipsWholeGradient:
    """Clips the gradient of the whole batch. Keras's optimisers clip each replica's part of it, before they add them up."""

    def _clip_gradients(self, grads):
        if self.global_clipnorm and keras.backend.backend() == "tensorflow":
            grads = [gradient for gradient, _ in super()._all_reduce_sum_gradients([(part, None) for part in grads])]
        return super()._clip_gradients(grads)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars if self.global_clipnorm else super()._all_reduce_sum_gradients(grads_and_vars)


class _DecayInUpdate(_ClipsWholeGradient):
    """Keeps the coefficient of a weight decay from Keras's base class, which would apply a decay of its own."""

    def __init__(self, *args, weight_decay=0.0, **kwargs):
        super().__init__(*args, weight_decay=None, **kwargs)
        self.decay = weight_decay

    def decays(self, variable):
        """Whether a variable is decayed."""
        return bool(self.decay) and self._use_weight_decay(self.of_keras(variable))

    def of_keras(self, variable):
        """The Keras variable, of which TensorFlow hands `update_step` its own."""
        return self._trainable_variables[self._get_variable_index(variable)]

    def get_config(self):
        return {**super().get_config(), "weight_decay": self.decay}


@keras.saving.register_keras_serializable(package="keras_deit")
class AdamW(_ClipsWholeGradient, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW`, its clipping over all replicas."""


@keras.saving.register_keras_serializable(package="keras_deit")
class LAMB(_DecayInUpdate, keras.optimizers.Lamb):
    """LAMB as the DeiT III runs used it.

    Unlike `keras.optimizers.Lamb` it adds the weight decay to the update before the trust ratio is taken, and leaves the
    ratio out where there is no decay (`exclude_from_weight_decay`: biases, norms, tokens).

    Args:
        learning_rate, beta_1, beta_2, epsilon, **kwargs: As for `keras.optimizers.Lamb`; the published runs set
            `epsilon=1e-6, global_clipnorm=1.0`.
        weight_decay: Coefficient of the decay.

    Reference:
        You et al., 2019 (arXiv 1904.00962), algorithm 2; Touvron et al., 2022 (arXiv 2204.07118), section 3; the details are
        those of apex's FusedLAMB and of timm's `Lamb`.
    """

    def update_step(self, gradient, variable, learning_rate):
        dtype, index = variable.dtype, self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
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


@keras.saving.register_keras_serializable(package="keras_deit")
class SGD(_DecayInUpdate, keras.optimizers.SGD):
    """SGD whose weight decay is a part of the gradient (L2 regularisation), as in PyTorch, and so goes into the momentum.

    Args:
        learning_rate, momentum, nesterov, **kwargs: As for `keras.optimizers.SGD`.
        weight_decay: Coefficient of the decay.
    """

    def update_step(self, gradient, variable, learning_rate):
        if self.decays(variable):
            gradient = ops.cast(gradient, variable.dtype) + self.decay * variable
        super().update_step(gradient, variable, learning_rate)


@keras.saving.register_keras_serializable(package="keras_deit")
class LayerwiseAdamW(_DecayInUpdate, keras.optimizers.Adam):
    """AdamW whose learning rate, and with it the decay, is smaller the earlier a layer comes.

    Args:
        layer_decay: Factor from a block to the one before it. The heads have the whole rate, the final norm that of the last
            block; patch embedding and tokens come before the first one.
        num_layers: Number of blocks.
        learning_rate, **kwargs: As for `keras.optimizers.Adam`.
        weight_decay: Coefficient of the decay.

    Reference:
        timm's `param_groups_layer_decay`; Clark et al., 2020, ELECTRA (arXiv 2003.10555), section 3.1; Bao et al., 2021,
        BEiT (arXiv 2106.08254).
    """

    def __init__(self, *args, layer_decay, num_layers, **kwargs):
        super().__init__(*args, **kwargs)
        self.layer_decay = layer_decay
        self.num_layers = num_layers

    def update_step(self, gradient, variable, learning_rate):
        rate = ops.cast(learning_rate, variable.dtype) * self.scale(self.of_keras(variable).path)
        if self.decays(variable):
            self.assign_sub(variable, rate * self.decay * variable)
        super().update_step(gradient, variable, rate)

    def scale(self, path):
        """The share of the learning rate that a variable of this path has."""
        part, block = path.split("/")[0], re.match(r"block_(\d+)/", path)
        if part in ("patch_embedding", "prefix_tokens"):
            steps = self.num_layers + 1
        elif block:
            steps = self.num_layers + 1 - int(block[1])
        else:
            steps = 1 if part == "norm" else 0
        return self.layer_decay**steps

    def get_config(self):
        return {**super().get_config(), "layer_decay": self.layer_decay, "num_layers": self.num_layers}


def _trust_ratio(variable, update):
    weight_norm, update_norm = (ops.sqrt(ops.sum(ops.square(values))) for values in (variable, update))
    ratio = weight_norm / ops.where(update_norm > 0, update_norm, 1.0)
    return ops.where(ops.logical_and(weight_norm > 0, update_norm > 0), ratio, 1.0)
