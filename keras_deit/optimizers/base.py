"""What the optimisers have in common."""

import types

import keras
import numpy as np
from keras import ops

from keras_deit.optimizers import torch_lists
from keras_deit.runtime.keras_private import OptimizerInternals


class RecipeOptimizer(OptimizerInternals):
    """Mixin of the optimisers: clips by `global_clipnorm` over the whole batch, and updates lists of variables on PyTorch.

    On several replicas of TensorFlow, the gradients are summed over the replicas before they are clipped. A class with
    `update_lists(tensors, gradients, variables, rate)` updates all variables at once on PyTorch: a list of tensors, the
    gradients of the same dtypes, the list of Keras variables, and the learning rate, a scalar tensor.
    """

    def build(self, variables):
        dtypes = {keras.backend.standardize_dtype(variable.dtype) for variable in variables}
        self._check_constant(dtypes, "float16", "epsilon", lambda epsilon: not epsilon or np.float16(epsilon) > 0)
        self._check_constant(dtypes, "bfloat16", "beta_2", lambda beta: beta < 1 - 2**-9)  # bfloat16 rounds others to 1
        super().build(variables)
        # In a namespace, because Keras would track a dictionary that is assigned directly.
        self._kept = types.SimpleNamespace(tensors={})

    def _check_constant(self, dtypes, dtype, name, is_valid):
        value = getattr(self, name, None)
        if dtype in dtypes and value is not None and not is_valid(value):
            raise ValueError(
                f"`{name}` vanishes or becomes 1 in the dtype of the weights, {dtype}, which makes the weights NaN or keeps "
                f'them as they are. Received: {name}={value}. Build the model with dtype="mixed_{dtype}", whose weights are '
                "float32."
            )

    def clip_gradients(self, gradients):
        if self.global_clipnorm and self.global_clipnorm > 0 and keras.backend.backend() == "torch":
            return torch_lists.clip_by_global_norm(gradients, self.global_clipnorm)
        if self.global_clipnorm and keras.backend.backend() == "tensorflow":
            pairs = super().reduce_gradients([(gradient, None) for gradient in gradients])
            gradients = [gradient for gradient, _ in pairs]
        return super().clip_gradients(gradients)

    def reduce_gradients(self, gradients_and_variables):
        if self.global_clipnorm:  # already summed by `clip_gradients`
            return gradients_and_variables
        return super().reduce_gradients(gradients_and_variables)

    def average_variables(self, variables, averages):
        averages, variables = self.tensors("averages", averages), self.tensors("averaged", variables)
        with torch_lists.no_gradient():
            torch_lists.average(averages, variables, self.ema_momentum, ops.convert_to_tensor(self.iterations))

    def update_variables(self, gradients, variables, learning_rate):
        if not self.can_update_lists():
            return super().update_variables(gradients, variables, learning_rate)
        tensors = self.tensors("variables", variables)
        with torch_lists.no_gradient():
            gradients = torch_lists.cast(gradients, tensors)
            return self.update_lists(tensors, gradients, variables, ops.convert_to_tensor(learning_rate))

    def tensors(self, kind, variables):
        """Returns the tensors of a list of Keras variables.

        The tensor of a variable stays the same on PyTorch, and looking it up takes Keras as long as starting a small kernel.
        The list of the last step is therefore returned again for the same variables, unless a scope replaces their values.

        Args:
            kind: What the variables are, the key of the list.
            variables: List of Keras variables.

        Returns:
            List of tensors.
        """
        keys = list(map(id, variables))
        kept_keys, tensors = self._kept.tensors.get(kind, (None, None))
        if kept_keys != keys or variables[0].value is not tensors[0]:
            tensors = [variable.value for variable in variables]
            self._kept.tensors[kind] = keys, tensors
        return tensors

    def can_update_lists(self):
        """Whether `update_lists` computes what `update_step` does. A subclass may override `update_step` alone."""
        overriders = [cls for cls in type(self).__mro__ if "update_step" in vars(cls) or "update_lists" in vars(cls)]
        return "update_lists" in vars(overriders[0]) and not getattr(self, "amsgrad", False)

    def update_moments(self, gradients, variables):
        """Updates the moments of an optimiser of Adam's kind, see `torch_lists.adam_directions`."""
        moments = zip(("means", "squares"), self.moments(variables), strict=True)
        means, squares = (self.tensors(kind, each) for kind, each in moments)
        step = ops.cast(ops.convert_to_tensor(self.iterations) + 1, "float32")  # the sum of a variable copies the 1
        return torch_lists.adam_directions(gradients, means, squares, step, self.beta_1, self.beta_2)


class DecayInUpdate(RecipeOptimizer):
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
        """Whether the update must decay a variable."""
        return bool(self.decay) and self.uses_weight_decay(self.keras_variable(variable))

    def get_config(self):
        """Returns the arguments of the constructor, see `keras.optimizers.Optimizer.get_config`."""
        return {**super().get_config(), "weight_decay": self.decay}
