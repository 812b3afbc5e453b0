"""LayerScale: a learned factor for each channel of a residual branch."""

import keras


@keras.saving.register_keras_serializable(package="keras_deit")
class LayerScale(keras.layers.Layer):
    """Multiplies each channel of a residual branch by a learned factor.

    Args:
        initial_value: Initial value of every factor, a float; 1e-4 in the official DeiT III code.

    Input shape:
        `(batch, tokens, hidden_dim)`.

    Output shape:
        The shape of the input.

    Example:

    >>> float(LayerScale(0.5)(keras.ops.ones((1, 2, 3)))[0, 0, 0])
    0.5

    Reference:
        Touvron et al., 2021 (arXiv 2103.17239), equation 4.
    """

    direct_call = True  # see run_layer

    def __init__(self, initial_value=1e-4, **kwargs):
        super().__init__(**kwargs)
        self.initial_value = initial_value

    def build(self, input_shape):
        """Creates one factor for each of the `input_shape[-1]` channels."""
        self.gamma = self.add_weight(
            name="gamma", shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.initial_value)
        )

    def call(self, tokens):
        """Multiplies the channels by their factors."""
        return tokens * self.gamma

    def compute_output_shape(self, input_shape):
        """Returns the shape of the outputs, which is that of the input."""
        return input_shape

    def get_config(self):
        return {**super().get_config(), "initial_value": self.initial_value}
