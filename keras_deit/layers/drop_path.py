"""Stochastic depth."""

import keras


@keras.saving.register_keras_serializable(package="keras_deit")
class DropPath(keras.layers.Dropout):
    """Drops the whole residual branch of an example with a given probability while training.

    It is dropout whose noise is shared by all tokens and channels of an example: what is kept is divided by the
    probability of keeping it, so that the expectation stays.

    Args:
        rate: Float in [0, 1), the probability of dropping a branch.
        seed: Optional integer.

    Call arguments:
        inputs: Tensor of shape `(batch, tokens, hidden_dim)`.
        training: Whether to drop; at inference the input is returned as it is.

    Raises:
        ValueError: If `rate` lies outside [0, 1).

    Example:

    >>> float(DropPath(0.5)(keras.ops.ones((1, 2, 3)), training=False)[0, 0, 0])
    1.0

    Reference:
        Huang et al., 2016 (arXiv 1603.09382), section 3.
    """

    def __init__(self, rate, seed=None, **kwargs):
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` must lie in [0, 1). Received: rate={rate}")
        super().__init__(rate, noise_shape=(None, 1, 1), seed=seed, **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["noise_shape"]  # fixed by what the layer is
        return config
