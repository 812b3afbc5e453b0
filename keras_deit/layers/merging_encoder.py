"""Encoder blocks that merge similar tokens."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_deit")
class MergingEncoder(keras.layers.Layer):
    """Applies encoder blocks, each of which merges similar tokens between its two branches.

    Args:
        blocks: List of `EncoderBlock`, which may be those of another model.
        num_merged: Number of tokens that each block merges, a positive integer; at most half of the patch tokens that are
            left are merged.
        num_prefix_tokens: Number of the first tokens, 1 or 2, which are not merged.

    Input shape:
        `(batch, tokens, hidden_dim)`.

    Output shape:
        `(batch, tokens that are left, hidden_dim)`.

    Example:

    >>> from keras_deit.layers import EncoderBlock
    >>> blocks = [EncoderBlock(num_heads=3, intermediate_dim=768) for _ in range(2)]
    >>> encoder = MergingEncoder(blocks, num_merged=8, num_prefix_tokens=2)
    >>> tuple(encoder(keras.ops.ones((1, 198, 192))).shape)
    (1, 182, 192)

    Reference:
        Bolya et al., 2022 (arXiv 2210.09461), section 3.
    """

    def __init__(self, blocks, num_merged, num_prefix_tokens, **kwargs):
        super().__init__(**kwargs)
        self.blocks = list(blocks)
        self.num_merged = num_merged
        self.num_prefix_tokens = num_prefix_tokens

    def build(self, input_shape):
        """Builds those of the blocks that are not built yet."""
        for block in self.blocks:
            if not block.built:
                block.build(input_shape)

    def call(self, tokens, training=None):
        """Applies the blocks."""
        sizes = ops.ones_like(tokens[..., :1], dtype="int32")  # Keras would cast floats to the compute dtype of a block
        for block in self.blocks:
            tokens, sizes = block(
                tokens,
                training=training,
                token_sizes=sizes,
                num_merged=self.num_merged,
                num_prefix_tokens=self.num_prefix_tokens,
            )
        return tokens

    def get_config(self):
        return {
            **super().get_config(),
            "blocks": [keras.saving.serialize_keras_object(block) for block in self.blocks],
            "num_merged": self.num_merged,
            "num_prefix_tokens": self.num_prefix_tokens,
        }

    @classmethod
    def from_config(cls, config):
        blocks = [keras.saving.deserialize_keras_object(block) for block in config["blocks"]]
        return cls(**{**config, "blocks": blocks})
