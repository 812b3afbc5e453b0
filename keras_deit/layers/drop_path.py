"""Stochastic depth."""

import keras

from keras_deit.layers import operations
from keras_deit.runtime.keras_private import is_computed_again


@keras.saving.register_keras_serializable(package="keras_deit")
class DropPath(keras.layers.Dropout):
    """Drops the residual branch of an example as a whole, with a given probability, in training.

    All tokens and channels of an example are dropped or kept together. Kept branches are divided by `1 - rate`, so that
    the expectation of the output is the input.

    Args:
        rate: Probability of dropping a branch, a float in [0, 1).
        seed: Integer seed of the random draws; None means a random seed.

    Call arguments:
        inputs: Tensor of shape `(batch, tokens, hidden_dim)`.
        training: Whether to drop branches. At inference the input is returned unchanged.

    Raises:
        ValueError: If `rate` lies outside [0, 1), or the layer is made in a `keras.RematScope`, where other branches
            would be dropped for the gradient.

    Example:

    >>> float(DropPath(0.5)(keras.ops.ones((1, 2, 3)), training=False)[0, 0, 0])
    1.0

    Reference:
        Huang et al., 2016 (arXiv 1603.09382), section 3.
    """

    direct_call = True  # see run_layer

    def __init__(self, rate, seed=None, **kwargs):
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` must lie in [0, 1). Received: rate={rate}")
        with operations.seed_device():
            super().__init__(rate, noise_shape=(None, 1, 1), seed=seed, **kwargs)
        if rate > 0 and is_computed_again(self):
            raise ValueError(
                "`keras.RematScope` computes layers again for the gradient, and stochastic depth would then drop other "
                "branches: the gradient would be wrong. Build the model outside of the scope, then set `block.remat = True` "
                f"for each block in `model.backbone.blocks`; or pass drop_path_rate=0. Received: rate={rate}"
            )

    def call(self, inputs, training=False):
        """Drops branches in training."""
        return operations.drop_path(inputs, self.rate, self.seed_generator) if training and self.rate > 0 else inputs

    def get_config(self):
        config = super().get_config()
        del config["noise_shape"]  # fixed for this layer, not an argument
        return config
