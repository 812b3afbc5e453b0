"""The feed-forward half of an encoder block."""

import keras

from keras_deit.layers import operations
from keras_deit.layers.composite import CompositeLayer
from keras_deit.layers.dense import TokenDense


@keras.saving.register_keras_serializable(package="keras_deit")
class MLP(CompositeLayer):
    """Two dense layers with the exact (erf) GELU between them.

    Args:
        intermediate_dim: Width between the two layers, a positive integer; four times `hidden_dim` in every DeiT.

    Input shape:
        `(batch, tokens, hidden_dim)`.

    Output shape:
        The shape of the input.

    Raises:
        ValueError: If `intermediate_dim` is not positive.

    Example:

    >>> tuple(MLP(intermediate_dim=768)(keras.ops.ones((1, 198, 192))).shape)
    (1, 198, 192)

    Reference:
        Hendrycks and Gimpel, 2016 (arXiv 1606.08415); the official DeiT code uses the exact form.
    """

    direct_call = True  # see run_layer

    def __init__(self, intermediate_dim, **kwargs):
        super().__init__(**kwargs)
        if intermediate_dim < 1:
            raise ValueError(f"`intermediate_dim` must be positive. Received: intermediate_dim={intermediate_dim}")
        self.intermediate_dim = intermediate_dim

    def build(self, input_shape):
        """Creates both dense layers for tokens of length `hidden_dim = input_shape[-1]`."""
        self.expansion = TokenDense(self.intermediate_dim, dtype=self.dtype_policy, name="expansion")
        self.expansion.build(input_shape)
        self.reduction = TokenDense(input_shape[-1], dtype=self.dtype_policy, name="reduction")
        self.reduction.build((*input_shape[:-1], self.intermediate_dim))
        self.restore_sublayers()

    def call(self, tokens):
        """Applies the dense layers and the GELU."""
        return self.run(self.reduction, operations.gelu(self.run(self.expansion, tokens)))

    def compute_output_shape(self, input_shape):
        """Returns the shape of the outputs, which is that of the input."""
        return input_shape

    def get_config(self):
        return {**super().get_config(), "intermediate_dim": self.intermediate_dim}
