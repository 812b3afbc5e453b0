"""The operations on tokens, one function each.

On PyTorch they call PyTorch's own functions. Keras prepares the arguments of every operation, which takes longer than many
operations take on a GPU, and has no operation for a matrix product with a bias. On JAX, `jax_operations.py` replaces those
that XLA's CPU backend computes slowly.
"""

import contextlib

import keras
from keras import ops


def dense(tokens, kernel, bias=None):
    """Maps each token by one matrix product.

    The tokens are reshaped to two dimensions. With three-dimensional inputs a training step on JAX's CPU backend takes half
    as long again.

    Args:
        tokens: Tensor of shape `(batch, tokens, features)`.
        kernel: Variable or tensor of shape `(features, units)`.
        bias: Variable or tensor of shape `(units,)`, or None.

    Returns:
        Tensor of shape `(batch, tokens, units)`.
    """
    outputs = product(ops.reshape(tokens, (-1, tokens.shape[-1])), kernel)
    if bias is not None:
        outputs = ops.add(outputs, bias)
    return ops.reshape(outputs, (-1, num_tokens(tokens), outputs.shape[-1]))


def product(tokens, kernel):
    """The matrix product of tokens `(tokens, features)` and a kernel `(features, units)`."""
    return ops.matmul(tokens, kernel)


def layer_norm(tokens, gamma, beta, epsilon):
    """Normalises each token to mean 0 and variance 1, then scales and shifts its channels; in float32 at least.

    Args:
        tokens: Tensor of shape `(batch, tokens, features)`.
        gamma, beta: Variables of shape `(features,)`.
        epsilon: Float added to the variance.

    Returns:
        Tensor of the shape and dtype of `tokens`.
    """
    return ops.layer_normalization(tokens, gamma, beta, -1, epsilon)


def gelu(tokens):
    """The exact (erf) GELU of each value."""
    return ops.gelu(tokens, approximate=False)


def attention(qkv, num_heads, bias=None):
    """Multi-head attention by a fused kernel.

    Args:
        qkv: Tensor of shape `(batch, tokens, 3 * hidden_dim)`: queries, keys and values of all heads.
        num_heads: Number of heads.
        bias: Tensor of shape `(batch, 1, 1, tokens)` that is added to the logits of the keys, or None.

    Returns:
        Tensor of shape `(batch, tokens, hidden_dim)`: the weighted sums of the values.
    """
    mixed = ops.dot_product_attention(*split_heads(qkv, num_heads), bias=bias)
    return ops.reshape(mixed, (-1, num_tokens(qkv), qkv.shape[-1] // 3))


def split_heads(qkv, num_heads):
    """Divides the fused projection into queries, keys and values.

    Args:
        qkv: Tensor of shape `(batch, tokens, 3 * hidden_dim)`.
        num_heads: Number of heads.

    Returns:
        List of three tensors of shape `(batch, tokens, heads, head_dim)`.
    """
    shape = (-1, num_tokens(qkv), num_heads, qkv.shape[-1] // 3 // num_heads)
    return [ops.reshape(projected, shape) for projected in ops.split(qkv, 3, axis=-1)]


def drop_path(tokens, rate, seed_generator):
    """Sets the tokens of some examples to zero, and divides those of the others by `1 - rate`.

    Args:
        tokens: Tensor of shape `(batch, tokens, features)`.
        rate: Probability of zeros, a float in (0, 1).
        seed_generator: `keras.random.SeedGenerator`, made in a context of `seed_device`.

    Returns:
        Tensor of the shape and dtype of `tokens`.
    """
    return keras.random.dropout(tokens, rate, noise_shape=(None, 1, 1), seed=seed_generator)


def seed_device():
    """Returns the context in which `drop_path` needs its `seed_generator` made."""
    return contextlib.nullcontext()


def num_tokens(tokens):
    """Returns the number of tokens of an image, without an operation in a traced graph where the number is known.

    Args:
        tokens: Tensor of shape `(batch, tokens, features)`.

    Returns:
        An integer, or a scalar tensor if TensorFlow traces a graph for any number of tokens.

    Example:

    >>> num_tokens(keras.ops.ones((2, 3, 4)))
    3
    """
    length = tokens.shape[1]
    return ops.shape(tokens)[1] if length is None else length  # `ops.shape` leaves unused slices in the graph


if keras.backend.backend() == "torch":
    from keras_deit.layers.torch_operations import (  # noqa: F401
        attention,
        dense,
        drop_path,
        gelu,
        layer_norm,
        seed_device,
    )
elif keras.backend.backend() == "jax":
    from keras_deit.layers.jax_operations import gelu, layer_norm, product  # noqa: F401
