"""Class token, distillation token and positions."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_deit")
class PrefixTokens(keras.layers.Layer):
    """Puts the learned tokens before the patch tokens and adds learned positions.

    The order is the official one: `[class, distillation, patches]`.

    Args:
        distilled: Whether there is a distillation token beside the class token.
        prefix_positions: Whether the prefix tokens have positions too, as in DeiT. DeiT III gives them to patches only.

    Input shape:
        `(batch, patches, hidden_dim)`.

    Output shape:
        `(batch, prefix + patches, hidden_dim)`, `prefix` being 2 with a distillation token and 1 without.

    Example:

    >>> tuple(PrefixTokens(distilled=True)(keras.ops.ones((1, 196, 192))).shape)
    (1, 198, 192)

    Reference:
        Touvron et al., 2020 (arXiv 2012.12877), section 4 and figure 2; Touvron et al., 2022 (arXiv 2204.07118).
    """

    def __init__(self, distilled=True, prefix_positions=True, **kwargs):
        super().__init__(**kwargs)
        self.distilled = distilled
        self.prefix_positions = prefix_positions

    @property
    def num_prefix_tokens(self):
        """1 (class) or 2 (class, distillation)."""
        return 2 if self.distilled else 1

    def build(self, input_shape):
        _, num_patches, hidden_dim = input_shape
        num_positions = num_patches + (self.num_prefix_tokens if self.prefix_positions else 0)
        self.class_token = self._add_token("class_token", 1, hidden_dim)
        if self.distilled:
            self.distillation_token = self._add_token("distillation_token", 1, hidden_dim)
        self.positions = self._add_token("positions", num_positions, hidden_dim)

    def call(self, patch_tokens):
        if not self.prefix_positions:
            patch_tokens = patch_tokens + self.positions
        prefix = [self.class_token, self.distillation_token] if self.distilled else [self.class_token]
        batch_size, _, hidden_dim = ops.shape(patch_tokens)
        prefix = [ops.broadcast_to(token, (batch_size, 1, hidden_dim)) for token in prefix]
        tokens = ops.concatenate([*prefix, patch_tokens], axis=1)  # (batch, prefix + patches, hidden_dim)
        return tokens + self.positions if self.prefix_positions else tokens

    def compute_output_shape(self, input_shape):
        batch_size, num_patches, hidden_dim = input_shape
        return (batch_size, self.num_prefix_tokens + num_patches, hidden_dim)

    def get_config(self):
        return {**super().get_config(), "distilled": self.distilled, "prefix_positions": self.prefix_positions}

    def _add_token(self, name, length, hidden_dim):
        return self.add_weight(
            name=name, shape=(1, length, hidden_dim), initializer=keras.initializers.RandomNormal(stddev=0.02)
        )
