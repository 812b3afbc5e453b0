"""SGD with momentum."""

import keras
from keras import ops

from keras_deit.optimizers import torch_lists
from keras_deit.optimizers.base import DecayInUpdate


@keras.saving.register_keras_serializable(package="keras_deit")
class SGD(DecayInUpdate, keras.optimizers.SGD):
    """SGD with L2 regularisation: the weight decay is added to the gradient, before the momentum, as in PyTorch.

    Args:
        *args: As for `keras.optimizers.SGD`.
        **kwargs: As for `keras.optimizers.SGD`.
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

    def can_update_lists(self):
        return super().can_update_lists() and self.momentum != 0

    def update_lists(self, tensors, gradients, variables, rate):
        """Updates all variables at once on PyTorch, see `keras_deit.optimizers.base.RecipeOptimizer`."""
        decays = [self.decay * self.decays(variable) for variable in variables]
        gradients = torch_lists.add_scaled(gradients, tensors, decays) if self.decay else gradients
        velocities = [self.momentums[self.variable_index(variable)] for variable in variables]
        torch_lists.sgd(tensors, gradients, self.tensors("velocities", velocities), rate, self.momentum, self.nesterov)
