"""A dense layer over tokens."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_deit")
class TokenDense(keras.layers.Dense):
    """`keras.layers.Dense` over the last axis of tokens, with DeiT's initial values, as one two-dimensional product.

    On two-dimensional inputs the backends call one matrix product forwards and backwards; on three-dimensional ones
    JAX's CPU backend takes half as long again for a training step.

    Args:
        units: Positive integer, the length of an output token.

    Input shape:
        `(batch, tokens, features)`.

    Output shape:
        `(batch, tokens, units)`.

    Example:

    >>> tuple(TokenDense(8)(keras.ops.ones((2, 3, 4))).shape)
    (2, 3, 8)

    Reference:
        Initial values: the official DeiT code, normal of σ 0.02 (its truncation lies a hundred σ away) and zero biases.
    """

    def __init__(self, units, **kwargs):
        kwargs.setdefault("kernel_initializer", keras.initializers.RandomNormal(stddev=0.02))
        super().__init__(units, **kwargs)

    def call(self, tokens):
        length, features = ops.shape(tokens)[1:]
        outputs = super().call(ops.reshape(tokens, (-1, features)))
        return ops.reshape(outputs, (-1, length, self.units))
