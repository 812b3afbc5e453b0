"""AdamW."""

import keras

from keras_deit.optimizers import torch_lists
from keras_deit.optimizers.base import RecipeOptimizer


@keras.saving.register_keras_serializable(package="keras_deit")
class AdamW(RecipeOptimizer, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW`, clipping over the whole batch.

    Args:
        *args: As for `keras.optimizers.AdamW`.
        **kwargs: As for `keras.optimizers.AdamW`.

    Example:

    >>> optimizer = AdamW(0.1, weight_decay=0.5, epsilon=1e-8)
    >>> weight = keras.Variable([1.0])
    >>> optimizer.apply([keras.ops.convert_to_tensor([2.0])], [weight])
    >>> round(float(weight.numpy()[0]), 4)  # 1 - 0.1 · 0.5 · 1 for the decay, minus 0.1 for the step
    0.85

    Reference:
        Loshchilov and Hutter, 2017 (arXiv 1711.05101), algorithm 2.
    """

    def update_lists(self, tensors, gradients, variables, rate):
        """Updates all variables at once on PyTorch, see `keras_deit.optimizers.base.RecipeOptimizer`."""
        torch_lists.adam(tensors, *self.update_moments(gradients, variables), rate, self.epsilon)
