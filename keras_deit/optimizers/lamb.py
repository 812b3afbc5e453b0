"""LAMB."""

import keras
from keras import ops

from keras_deit.optimizers import torch_lists
from keras_deit.optimizers.base import DecayInUpdate


@keras.saving.register_keras_serializable(package="keras_deit")
class LAMB(DecayInUpdate, keras.optimizers.Optimizer):
    """LAMB as in the runs of DeiT III.

    `keras.optimizers.Lamb` differs in two points. Here the weight decay is added to the update before the trust ratio is
    computed, and variables without decay (`exclude_from_weight_decay`: biases, norms, tokens) have no trust ratio.

    Args:
        learning_rate: Float, schedule or callable.
        beta_1: Decay rate of the mean of the gradients, in 0..1.
        beta_2: Decay rate of the mean of the squared gradients, in 0..1.
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

    def update_lists(self, tensors, gradients, variables, rate):
        """Updates all variables at once on PyTorch, see `keras_deit.optimizers.base.RecipeOptimizer`."""
        decayed = [index for index, variable in enumerate(variables) if self.decays(variable)]
        directions = self.update_moments(gradients, variables)
        torch_lists.lamb(tensors, *directions, rate, self.epsilon, decayed, self.decay)

    def moment_lists(self):
        return self.momentums, self.velocities

    def get_config(self):
        moments = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        return {**super().get_config(), **moments}


def _trust_ratio(variable, update):
    weight_norm, update_norm = (ops.sqrt(ops.sum(ops.square(values))) for values in (variable, update))
    ratio = weight_norm / ops.where(update_norm > 0, update_norm, 1.0)
    return ops.where(ops.logical_and(weight_norm > 0, update_norm > 0), ratio, 1.0)
