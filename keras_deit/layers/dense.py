"""A dense layer over tokens."""

import keras

from keras_deit.layers import operations


@keras.saving.register_keras_serializable(package="keras_deit")
class TokenDense(keras.layers.Dense):
    """`keras.layers.Dense` over the last axis of tokens, with DeiT's initial values.

    Args:
        units: Length of an output token, a positive integer.
        **kwargs: Keyword arguments of `keras.layers.Dense`.

    Input shape:
        `(batch, tokens, features)`.

    Output shape:
        `(batch, tokens, units)`.

    Example:

    >>> tuple(TokenDense(8)(keras.ops.ones((2, 3, 4))).shape)
    (2, 3, 8)

    Reference:
        Initial values: the official DeiT code. Kernels are normal with σ = 0.02 (its truncation lies a hundred σ away),
        biases are zero.
    """

    direct_call = True  # see CompositeLayer.run

    def __init__(self, units, **kwargs):
        kwargs.setdefault("kernel_initializer", keras.initializers.RandomNormal(stddev=0.02))
        super().__init__(units, **kwargs)

    def call(self, tokens):
        """Maps tokens `(batch, tokens, features)` to `(batch, tokens, units)`."""
        outputs = operations.dense(tokens, self.kernel, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def quantize(self, mode=None, type_check=True, config=None):
        """Quantizes the layer as `keras.layers.Dense` does, which by itself refuses subclasses.

        Args:
            mode, config: As for `keras.Model.quantize`.
            type_check: Has no effect.
        """
        super().quantize(mode=mode, type_check=False, config=config)
