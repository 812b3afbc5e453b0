"""Class token, distillation token and position embeddings."""

import keras
from keras import ops

from keras_deit.runtime.kept_settings import KeptSettings


@keras.saving.register_keras_serializable(package="keras_deit")
class PrefixTokens(KeptSettings, keras.layers.Layer):
    """Prepends the class and distillation tokens to the patch tokens and adds learned position embeddings.

    The order is that of the official code: `[class, distillation, patches]`.

    Args:
        distilled: Whether to add a distillation token after the class token.
        prefix_positions: Whether the prefix tokens get position embeddings as well, as in DeiT. In DeiT III only the
            patches do.
        grid: `(rows, columns)` of the patches; None means unknown. The grid is saved with the weights, because position
            embeddings of another grid of as many patches have the same shape.

    Raises:
        ValueError: If weights of another grid are loaded.

    Input shape:
        `(batch, patches, hidden_dim)`.

    Output shape:
        `(batch, prefix + patches, hidden_dim)`, where `prefix` is 2 with a distillation token and 1 without.

    Example:

    >>> tuple(PrefixTokens(distilled=True)(keras.ops.ones((1, 196, 192))).shape)
    (1, 198, 192)

    Reference:
        Touvron et al., 2020 (arXiv 2012.12877), section 4 and figure 2; Touvron et al., 2022 (arXiv 2204.07118).
    """

    def __init__(self, distilled=True, prefix_positions=True, grid=None, **kwargs):
        super().__init__(**kwargs)
        self.distilled = distilled
        self.prefix_positions = prefix_positions
        self.grid = None if grid is None else tuple(grid)

    @property
    def num_prefix_tokens(self):
        """Number of prefix tokens, 2 with a distillation token and 1 without."""
        return 2 if self.distilled else 1

    def build(self, input_shape):
        """Creates the tokens and the position embeddings for `(batch, patches, hidden_dim) = input_shape`."""
        _, num_patches, hidden_dim = input_shape
        num_positions = num_patches + (self.num_prefix_tokens if self.prefix_positions else 0)
        self.class_token = self._add_token("class_token", 1, hidden_dim)
        if self.distilled:
            self.distillation_token = self._add_token("distillation_token", 1, hidden_dim)
        self.positions = self._add_token("positions", num_positions, hidden_dim)

    def call(self, patch_tokens):
        """Prepends the prefix tokens and adds the position embeddings."""
        if not self.prefix_positions:
            patch_tokens = patch_tokens + self.positions
        prefix = [self.class_token, self.distillation_token] if self.distilled else [self.class_token]
        batch_size = ops.shape(patch_tokens)[0]
        prefix = [ops.broadcast_to(token, (batch_size, *token.shape[1:])) for token in prefix]
        tokens = ops.concatenate([*prefix, patch_tokens], axis=1)  # (batch, prefix + patches, hidden_dim)
        return tokens + self.positions if self.prefix_positions else tokens

    def compute_output_shape(self, input_shape):
        """Returns `(batch, prefix + patches, hidden_dim)`."""
        batch_size, num_patches, hidden_dim = input_shape
        return (batch_size, self.num_prefix_tokens + num_patches, hidden_dim)

    def kept_settings(self):
        """Returns the grid."""
        return {"grid": self.grid}

    def other_setting(self, name, expected, received):
        """Describes how weights of another grid differ, and what to do."""
        expected, received = (f"{rows} × {columns}" for rows, columns in (expected, received))
        return (
            f"Expected position embeddings of {expected} patches. Received: those of {received} patches. Load the weights "
            "into a model of their own image size, save it as `.keras`, and resize the position embeddings with "
            "`keras_deit.pretrained(file, image_size=...)`."
        )

    def get_config(self):
        return {
            **super().get_config(),
            "distilled": self.distilled,
            "prefix_positions": self.prefix_positions,
            "grid": self.grid,
        }

    def _add_token(self, name, length, hidden_dim):
        return self.add_weight(
            name=name, shape=(1, length, hidden_dim), initializer=keras.initializers.RandomNormal(stddev=0.02)
        )
