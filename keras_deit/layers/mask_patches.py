"""The learned token that stands in for hidden patches."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_deit")
class MaskPatches(keras.layers.Layer):
    """Puts the mask token in the place of the patch tokens that are masked, before they get their positions.

    Call arguments:
        patch_tokens: `(batch, patches, hidden_dim)`.
        masked: `(batch, patches)` booleans. (Keras keeps the name `mask` for itself.)

    Output shape:
        `(batch, patches, hidden_dim)`.

    Example:

    >>> tuple(MaskPatches()(keras.ops.ones((1, 4, 8)), keras.ops.ones((1, 4), dtype="bool")).shape)
    (1, 4, 8)

    Reference:
        Xie et al., 2021, SimMIM (arXiv 2111.09886), section 3.2; the initial value is its official code's.
    """

    def build(self, patch_tokens_shape, masked_shape):
        if tuple(masked_shape[1:]) != tuple(patch_tokens_shape[1:2]):
            raise ValueError(
                f"Expected a mask of shape (batch, patches) = {('batch', patch_tokens_shape[1])}. Received: "
                f"shape={tuple(masked_shape)}"
            )
        self.mask_token = self.add_weight(
            name="mask_token",
            shape=(1, 1, patch_tokens_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )

    def call(self, patch_tokens, masked):
        return ops.where(ops.cast(masked, "bool")[..., None], ops.convert_to_tensor(self.mask_token), patch_tokens)

    def compute_output_shape(self, patch_tokens_shape, masked_shape):
        return patch_tokens_shape
