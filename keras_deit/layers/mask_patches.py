"""The learned mask token that replaces masked patches."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_deit")
class MaskPatches(keras.layers.Layer):
    """Replaces masked patch tokens by a learned mask token, before positions are added.

    Call arguments:
        patch_tokens: Tensor of shape `(batch, patches, hidden_dim)`.
        masked: Tensor of shape `(batch, patches)`, booleans or 0 and 1; True means masked, and so does every number
            except 0. (Keras reserves the name `mask`.)

    Output shape:
        `(batch, patches, hidden_dim)`.

    Raises:
        ValueError: If `masked` has another shape.

    Example:

    >>> tuple(MaskPatches()(keras.ops.ones((1, 4, 8)), keras.ops.ones((1, 4), dtype="bool")).shape)
    (1, 4, 8)

    Reference:
        Xie et al., 2021, SimMIM (arXiv 2111.09886), section 3.2; initial value: its official code.
    """

    def build(self, patch_tokens_shape, masked_shape):
        """Checks the shapes and creates the mask token."""
        _check_shapes(patch_tokens_shape, masked_shape)
        self.mask_token = self.add_weight(
            name="mask_token",
            shape=(1, 1, patch_tokens_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )

    def call(self, patch_tokens, masked):
        """Replaces the masked tokens."""
        _check_shapes(patch_tokens.shape, masked.shape)
        return ops.where(ops.cast(masked, "bool")[..., None], ops.convert_to_tensor(self.mask_token), patch_tokens)

    def compute_output_shape(self, patch_tokens_shape, masked_shape):
        """Returns the shape of the outputs, which is that of the patch tokens."""
        return patch_tokens_shape

    def get_config(self):
        return super().get_config()  # without this method Keras refuses a layer that was given a dtype policy


def _check_shapes(patch_tokens_shape, masked_shape):
    if len(masked_shape) != 2 or masked_shape[1] != patch_tokens_shape[1]:
        raise ValueError(
            f"Expected a mask of shape (batch, {patch_tokens_shape[1]}), a boolean for each patch. Received: "
            f"shape={tuple(masked_shape)}"
        )
