"""A pre-norm transformer encoder block."""

import keras

from keras_deit.layers.attention import MultiHeadSelfAttention
from keras_deit.layers.drop_path import DropPath
from keras_deit.layers.layer_scale import LayerScale
from keras_deit.layers.mlp import MLP


@keras.saving.register_keras_serializable(package="keras_deit")
class EncoderBlock(keras.layers.Layer):
    """Attention and MLP, each after a layer norm and inside a residual branch.

    Args:
        num_heads: Positive integer that divides the length of a token.
        intermediate_dim: Positive integer, the width inside the MLP.
        drop_path_rate: Float in [0, 1), the probability of dropping each branch of an example while training.
        layer_scale_init: Initial value of LayerScale on both branches, or None for a block without it (DeiT).
        layer_norm_epsilon: Float added to the variance; 1e-6 in DeiT.

    Call arguments:
        tokens: Tensor of shape `(batch, tokens, hidden_dim)`.
        training: Whether branches may be dropped.
        return_attention: Whether to return the attention map as well.

    Output shape:
        That of the input; with `return_attention=True` a pair of it and `(batch, heads, tokens, tokens)`.

    Example:

    >>> tuple(EncoderBlock(num_heads=3, intermediate_dim=768)(keras.ops.ones((1, 198, 192))).shape)
    (1, 198, 192)

    Reference:
        Dosovitskiy et al., 2020 (arXiv 2010.11929), equations 2 and 3; LayerScale: Touvron et al., 2021
        (arXiv 2103.17239), equation 4.
    """

    def __init__(
        self, num_heads, intermediate_dim, drop_path_rate=0.0, layer_scale_init=None, layer_norm_epsilon=1e-6, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.drop_path_rate = drop_path_rate
        self.layer_scale_init = layer_scale_init
        self.layer_norm_epsilon = layer_norm_epsilon

        def part(layer, *args, name):
            return layer(*args, dtype=self.dtype_policy, name=name)

        self.attention_norm = self._norm("attention_norm")
        self.attention = part(MultiHeadSelfAttention, num_heads, name="attention")
        self.mlp_norm = self._norm("mlp_norm")
        self.mlp = part(MLP, intermediate_dim, name="mlp")
        self.attention_drop_path = part(DropPath, drop_path_rate, name="attention_drop_path")
        self.mlp_drop_path = part(DropPath, drop_path_rate, name="mlp_drop_path")
        if layer_scale_init is not None:
            self.attention_scale = part(LayerScale, layer_scale_init, name="attention_scale")
            self.mlp_scale = part(LayerScale, layer_scale_init, name="mlp_scale")

    def build(self, input_shape):
        parts = ["attention_norm", "attention", "mlp_norm", "mlp", "attention_drop_path", "mlp_drop_path"]
        parts += [] if self.layer_scale_init is None else ["attention_scale", "mlp_scale"]
        for part in (getattr(self, name) for name in parts):
            part.build(input_shape)
            if not self.trainable:  # of a frozen block that is loaded, Keras leaves the parts as they are
                part.trainable = False

    def call(self, tokens, training=None, return_attention=False):
        branch = self.attention(self.attention_norm(tokens), return_attention=return_attention)
        branch, attention = branch if return_attention else (branch, None)
        if self.layer_scale_init is not None:
            branch = self.attention_scale(branch)
        tokens = tokens + self.attention_drop_path(branch, training=training)

        branch = self.mlp(self.mlp_norm(tokens))
        if self.layer_scale_init is not None:
            branch = self.mlp_scale(branch)
        tokens = tokens + self.mlp_drop_path(branch, training=training)
        return (tokens, attention) if return_attention else tokens

    def compute_output_shape(self, input_shape):
        return input_shape

    def compute_output_spec(self, tokens, training=None, return_attention=False):
        return self.attention.compute_output_spec(tokens, return_attention=return_attention)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "drop_path_rate": self.drop_path_rate,
            "layer_scale_init": self.layer_scale_init,
            "layer_norm_epsilon": self.layer_norm_epsilon,
        }

    def _norm(self, name):
        return keras.layers.LayerNormalization(epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name=name)
