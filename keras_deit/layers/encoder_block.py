"""A pre-norm transformer encoder block."""

import keras

from keras_deit.layers.attention import MultiHeadSelfAttention
from keras_deit.layers.composite import CompositeLayer
from keras_deit.layers.drop_path import DropPath
from keras_deit.layers.layer_scale import LayerScale
from keras_deit.layers.mlp import MLP
from keras_deit.layers.token_merging import merge_tokens, num_merged_tokens
from keras_deit.layers.token_norm import TokenNorm


@keras.saving.register_keras_serializable(package="keras_deit")
class EncoderBlock(CompositeLayer):
    """Self-attention and an MLP, each after a layer norm and inside a residual branch.

    Args:
        num_heads: Number of attention heads, a positive integer that divides `hidden_dim`.
        intermediate_dim: Width inside the MLP, a positive integer.
        drop_path_rate: Probability of dropping each branch of an example in training, a float in [0, 1).
        layer_scale_init: Initial value of LayerScale on both branches; None means a block without LayerScale, as in DeiT.
        layer_norm_epsilon: Float added to the variance in the layer norms; 1e-6 in DeiT.

    Call arguments:
        tokens: Tensor of shape `(batch, tokens, hidden_dim)`.
        training: Whether branches may be dropped.
        return_attention: Whether to return the attention map as well.
        token_sizes: Integers of shape `(batch, tokens, 1)`, the number of patches in each token: similar tokens are merged
            between the two branches. None means that no tokens are merged.
        num_merged: Number of tokens that are merged, with `token_sizes`; at most half of the patch tokens are.
        num_prefix_tokens: Number of the first tokens, 1 or 2, which are not merged.
        attention_offset: See `MultiHeadSelfAttention`; with `return_attention=True`, and not in training with `remat`.

    Output shape:
        The shape of the input. With `return_attention=True` a pair: the outputs, and the attention map of shape
        `(batch, heads, tokens, tokens)`. With `token_sizes` a pair: the outputs `(batch, tokens - num_merged, hidden_dim)`,
        and their sizes `(batch, tokens - num_merged, 1)`.

    Attributes:
        remat: Whether training keeps the input of the block alone and computes the activations inside of it again for the
            gradient (gradient checkpointing): less memory, more time, the same gradient. False at first, and not saved. It
            has no effect on calls with `token_sizes`.

    Raises:
        ValueError: If an argument is out of range, or `num_heads` does not divide `hidden_dim`.

    Example:

    >>> tuple(EncoderBlock(num_heads=3, intermediate_dim=768)(keras.ops.ones((1, 198, 192))).shape)
    (1, 198, 192)

    Reference:
        Dosovitskiy et al., 2020 (arXiv 2010.11929), equations 2 and 3; LayerScale: Touvron et al., 2021
        (arXiv 2103.17239), equation 4; merging of tokens: Bolya et al., 2022 (arXiv 2210.09461), section 3.
    """

    direct_call = True  # see run_layer
    remat = False

    def __init__(
        self, num_heads, intermediate_dim, drop_path_rate=0.0, layer_scale_init=None, layer_norm_epsilon=1e-6, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.drop_path_rate = drop_path_rate
        self.layer_scale_init = layer_scale_init
        self.layer_norm_epsilon = layer_norm_epsilon

        def sublayer(layer_class, *args, name):
            return layer_class(*args, dtype=self.dtype_policy, name=name)

        self.attention_norm = self._norm("attention_norm")
        self.attention = sublayer(MultiHeadSelfAttention, num_heads, name="attention")
        self.mlp_norm = self._norm("mlp_norm")
        self.mlp = sublayer(MLP, intermediate_dim, name="mlp")
        self.attention_drop_path = sublayer(DropPath, drop_path_rate, name="attention_drop_path")
        self.mlp_drop_path = sublayer(DropPath, drop_path_rate, name="mlp_drop_path")
        if layer_scale_init is not None:
            self.attention_scale = sublayer(LayerScale, layer_scale_init, name="attention_scale")
            self.mlp_scale = sublayer(LayerScale, layer_scale_init, name="mlp_scale")

    def build(self, input_shape):
        """Builds the sublayers for tokens of length `hidden_dim = input_shape[-1]`."""
        names = ["attention_norm", "attention", "mlp_norm", "mlp", "attention_drop_path", "mlp_drop_path"]
        names += [] if self.layer_scale_init is None else ["attention_scale", "mlp_scale"]
        for sublayer in (getattr(self, name) for name in names):
            sublayer.build(input_shape)
        self.restore_sublayers()

    def call(
        self,
        tokens,
        training=None,
        return_attention=False,
        token_sizes=None,
        num_merged=0,
        num_prefix_tokens=1,
        attention_offset=None,
    ):
        """Applies both branches and returns the tokens and, if requested, the attention map or the sizes of the tokens."""
        if token_sizes is not None:
            return self._call_with_merging(tokens, training, token_sizes, num_merged, num_prefix_tokens)
        if self.remat and training:
            return self._call_with_remat(tokens, return_attention)

        def drop_attention(branch):
            return self.run(self.attention_drop_path, branch, training=training)

        def drop_mlp(branch):
            return self.run(self.mlp_drop_path, branch, training=training)

        options = {"return_attention": return_attention}
        options |= {} if attention_offset is None else {"attention_offset": attention_offset}
        return self._apply_branches(tokens, drop_attention, drop_mlp, options, self.run)

    def _call_with_merging(self, tokens, training, sizes, num_merged, num_prefix_tokens):
        branch, keys = self.run(self.attention, self.run(self.attention_norm, tokens), token_sizes=sizes)
        branch = self._scaled("attention", branch, self.run)
        tokens = tokens + self.run(self.attention_drop_path, branch, training=training)
        num_merged = num_merged_tokens(tokens.shape[1], num_merged, num_prefix_tokens)
        if num_merged > 0:
            tokens, sizes = merge_tokens(tokens, sizes, keys, num_merged, num_prefix_tokens)
        branch = self._scaled("mlp", self.run(self.mlp, self.run(self.mlp_norm, tokens)), self.run)
        return tokens + self.run(self.mlp_drop_path, branch, training=training), sizes

    def _call_with_remat(self, tokens, return_attention):
        """Draws the dropped branches first: computed again in the backward pass, the draws would be other ones.

        Keras calls the sublayers, because in the backward pass no layer around them sets the dtype of the variables.
        """
        ones = keras.ops.ones((keras.ops.shape(tokens)[0], 1, 1), tokens.dtype)
        kept = [drop_path(ones, training=True) for drop_path in (self.attention_drop_path, self.mlp_drop_path)]

        def branches(tokens, attention_kept, mlp_kept):
            drops = (lambda branch: branch * attention_kept), (lambda branch: branch * mlp_kept)
            return self._apply_branches(tokens, *drops, {"return_attention": return_attention}, _keras_call)

        return keras.remat(branches)(tokens, *kept)

    def _apply_branches(self, tokens, drop_attention, drop_mlp, options, run):
        branch = run(self.attention, run(self.attention_norm, tokens), **options)
        branch, attention = branch if options["return_attention"] else (branch, None)
        tokens = tokens + drop_attention(self._scaled("attention", branch, run))

        branch = run(self.mlp, run(self.mlp_norm, tokens))
        tokens = tokens + drop_mlp(self._scaled("mlp", branch, run))
        return (tokens, attention) if options["return_attention"] else tokens

    def _scaled(self, name, branch, run):
        return branch if self.layer_scale_init is None else run(getattr(self, f"{name}_scale"), branch)

    def compute_output_shape(self, input_shape):
        """Returns the shape of the outputs without the attention map, which is that of the input."""
        return input_shape

    def compute_output_spec(self, tokens, training=None, return_attention=False):
        """Returns the symbolic outputs and, if requested, the symbolic attention map."""
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
        return TokenNorm(epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name=name)


def _keras_call(sublayer, *args, **kwargs):
    return sublayer(*args, **kwargs)
