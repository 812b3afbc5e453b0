"""The layer norm over tokens."""

import keras

from keras_deit.layers import operations


@keras.saving.register_keras_serializable(package="keras_deit")
class TokenNorm(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the channels of each token; one operation on PyTorch.

    Args:
        epsilon: Float added to the variance.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, tokens, hidden_dim)`.

    Output shape:
        The shape of the input.

    Example:

    >>> [round(float(value), 3) for value in TokenNorm()(keras.ops.convert_to_tensor([[[1.0, 3.0]]]))[0, 0]]
    [-1.0, 1.0]
    """

    direct_call = True  # see run_layer

    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(epsilon=epsilon, **kwargs)

    def call(self, tokens):
        """Normalises the tokens."""
        outputs = operations.layer_norm(tokens, self.gamma, self.beta, self.epsilon)
        return keras.ops.cast(outputs, self.compute_dtype)  # Keras does not cast the inputs of a layer norm

    def get_config(self):
        return {**keras.layers.Layer.get_config(self), "epsilon": self.epsilon}
