"""Multi-head self-attention."""

import keras
from keras import ops

from keras_deit.layers import operations
from keras_deit.layers.composite import CompositeLayer
from keras_deit.layers.dense import TokenDense
from keras_deit.layers.jax_operations import runs_on_cpus


@keras.saving.register_keras_serializable(package="keras_deit")
class MultiHeadSelfAttention(CompositeLayer):
    """Self-attention with one fused projection to queries, keys and values.

    The layer calls `keras.ops.dot_product_attention` on backends where it can use a fused (flash) kernel. TensorFlow and
    JAX's CPU have no such kernel. There the layer computes the formula by plain matrix products, in two thirds of the
    time. It does so on every backend when the attention map is requested, because a fused kernel never stores the map.

    Args:
        num_heads: Number of attention heads, a positive integer that divides `hidden_dim`.

    Call arguments:
        tokens: Tensor of shape `(batch, tokens, hidden_dim)`.
        return_attention: Whether to return the attention map as well.
        token_sizes: Integers of shape `(batch, tokens, 1)`: the number of patches in each token, whose logarithm is added
            to the logits (proportional attention). None means tokens of one size.
        attention_offset: Tensor `(batch, heads, tokens, tokens)` that is added to the attention map, with
            `return_attention=True`. The gradient with respect to zeros is that with respect to the map. None means none.

    Output shape:
        `(batch, tokens, hidden_dim)`. With `return_attention=True` a pair: these outputs, and the float32 map of shape
        `(batch, heads, tokens, tokens)`, whose rows (last axis) sum to 1. With `token_sizes` a pair: these outputs, and the
        mean of the keys over the heads, of shape `(batch, tokens, hidden_dim / num_heads)`.

    Raises:
        ValueError: If `num_heads` is not positive or does not divide `hidden_dim`.

    Example:

    >>> attention = MultiHeadSelfAttention(num_heads=3)
    >>> outputs, attention_map = attention(keras.ops.ones((1, 198, 192)), return_attention=True)
    >>> tuple(attention_map.shape)
    (1, 3, 198, 198)

    Reference:
        Vaswani et al., 2017 (arXiv 1706.03762), equation 1 and section 3.2.2. Proportional attention: Bolya et al., 2022
        (arXiv 2210.09461), equation 1.
    """

    direct_call = True  # see run_layer

    def __init__(self, num_heads, **kwargs):
        super().__init__(**kwargs)
        if num_heads < 1:
            raise ValueError(f"`num_heads` must be positive. Received: num_heads={num_heads}")
        self.num_heads = num_heads

    def build(self, input_shape):
        """Creates the projections for tokens of length `hidden_dim = input_shape[-1]`."""
        hidden_dim = input_shape[-1]
        if hidden_dim % self.num_heads:
            raise ValueError(
                f"`num_heads` must divide `hidden_dim`. Received: num_heads={self.num_heads}, hidden_dim={hidden_dim}"
            )
        self.head_dim = hidden_dim // self.num_heads
        self.qkv = TokenDense(3 * hidden_dim, dtype=self.dtype_policy, name="qkv")
        self.qkv.build(input_shape)
        self.projection = TokenDense(hidden_dim, dtype=self.dtype_policy, name="projection")
        self.projection.build(input_shape)
        self.restore_sublayers()

    def call(self, tokens, return_attention=False, token_sizes=None, attention_offset=None):
        """Computes the outputs and, if requested, the attention map or the mean keys."""
        qkv = self.run(self.qkv, tokens)
        bias = None if token_sizes is None else _log_sizes(token_sizes)
        if return_attention or not _has_fused_kernel():
            mixed, attention = self._attend(*operations.split_heads(qkv, self.num_heads), bias, attention_offset)
        else:
            mixed = operations.attention(qkv, self.num_heads, bias)
        outputs = self.run(self.projection, mixed)
        if token_sizes is not None:
            return outputs, ops.mean(operations.split_heads(qkv, self.num_heads)[1], axis=2)
        return (outputs, attention) if return_attention else outputs

    def compute_output_shape(self, input_shape):
        """Returns the shape of the outputs without the attention map, which is that of the input."""
        return input_shape

    def compute_output_spec(self, tokens, return_attention=False):
        """Returns the symbolic outputs and, if requested, the symbolic attention map."""
        outputs = keras.KerasTensor(tokens.shape, dtype=self.compute_dtype)
        if not return_attention:
            return outputs
        batch_size, length, _ = tokens.shape
        return outputs, keras.KerasTensor((batch_size, self.num_heads, length, length), dtype="float32")

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}

    def _attend(self, query, key, value, bias=None, offset=None):
        query, key, value = (ops.transpose(tensor, (0, 2, 1, 3)) for tensor in (query, key, value))
        logits = ops.matmul(query * self.head_dim**-0.5, ops.swapaxes(key, -1, -2))  # (batch, heads, tokens, tokens)
        precision = keras.backend.result_type(logits.dtype, "float32")  # in half precision the rows would not sum to 1
        logits = ops.cast(logits, precision)
        attention = ops.softmax(logits if bias is None else logits + bias, axis=-1)
        if offset is not None:
            attention = attention + ops.cast(offset, precision)  # Keras casts the arguments to half precision
        mixed = ops.matmul(ops.cast(attention, value.dtype), value)
        mixed = ops.transpose(mixed, (0, 2, 1, 3))
        return ops.reshape(mixed, (-1, operations.num_tokens(mixed), self.num_heads * self.head_dim)), attention


def _log_sizes(token_sizes):
    sizes = ops.cast(token_sizes, keras.backend.result_type(token_sizes.dtype, "float32"))
    return ops.expand_dims(ops.swapaxes(ops.log(sizes), 1, 2), 1)  # (batch, 1, 1, tokens)


def _has_fused_kernel():
    if keras.backend.backend() == "jax":
        return not runs_on_cpus()
    return keras.backend.backend() == "torch"
