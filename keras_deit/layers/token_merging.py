"""Merging of similar tokens between the attention and the MLP of an encoder block."""

import keras
from keras import ops

PROTECTED = -4.0  # added to a cosine, which makes it smaller than every cosine
_MIN_NORM = 1e-12  # of a key: the cosines of a key of zeros are 0


def num_merged_tokens(num_tokens, num_merged, num_prefix_tokens):
    """Returns the number of tokens that a block can merge, at most half of those that are not protected.

    Args:
        num_tokens: Number of tokens before the block, an integer.
        num_merged: Number of tokens that the block shall merge.
        num_prefix_tokens: Number of prefix tokens, 1 or 2, which are protected.

    Returns:
        An integer.

    Example:

    >>> num_merged_tokens(198, 8, 2), num_merged_tokens(10, 8, 2)
    (8, 4)
    """
    return min(num_merged, (num_tokens - num_prefix_tokens) // 2)


def merge_tokens(tokens, sizes, keys, num_merged, num_prefix_tokens):
    """Merges the most similar pairs of tokens by bipartite soft matching.

    The tokens at even indices are sources, those at odd indices are targets. Each source has an edge to the target whose
    key has the largest cosine with its own; of equal ones, the first. The sources of the `num_merged` edges of the largest
    cosines are merged into their targets; of equal ones, the first. A merged token is the mean of its tokens, weighted by
    their sizes. The class token is no source, and the distillation token is no target.

    Only products with matrices of zeros and ones move tokens, so every shape is known when a graph is traced. The means are
    computed in float32 at least, because float16 cannot hold the sums, and bfloat16 rounds sizes above 256.

    Args:
        tokens: Tensor of shape `(batch, tokens, hidden_dim)`.
        sizes: Tensor of shape `(batch, tokens, 1)`: the number of patches in each token, integers or floats.
        keys: Tensor of shape `(batch, tokens, head_dim)`: the mean of each token's keys over the heads.
        num_merged: Number of tokens to merge, at least 1 and at most `num_merged_tokens`.
        num_prefix_tokens: 1 if the first token is the class token, 2 if the second one is the distillation token.

    Returns:
        Tokens of shape `(batch, tokens - num_merged, hidden_dim)`, the sources that were not merged before the targets, but
        the prefix tokens first; and their sizes `(batch, tokens - num_merged, 1)`, in the dtype of `sizes`.

    Example:

    >>> tokens, keys = keras.ops.ones((2, 198, 192)), keras.random.normal((2, 198, 64))
    >>> tokens, sizes = merge_tokens(tokens, keras.ops.ones((2, 198, 1)), keys, num_merged=8, num_prefix_tokens=2)
    >>> tuple(tokens.shape), float(keras.ops.sum(sizes[0]))
    ((2, 190, 192), 198.0)

    Reference:
        Bolya et al., 2022, "Token Merging: Your ViT But Faster" (arXiv 2210.09461), section 3 and appendix D.
    """
    kept, merged, targets = _match(keys, num_merged, num_prefix_tokens)
    precision = keras.backend.result_type(tokens.dtype, "float32")
    floats = ops.cast(sizes, precision)
    sums = _move(ops.cast(tokens, precision) * floats, kept, merged, targets, num_prefix_tokens)
    floats = _move(floats, kept, merged, targets, num_prefix_tokens)
    return ops.cast(sums / floats, tokens.dtype), ops.cast(floats, sizes.dtype)


def _match(keys, num_merged, num_prefix_tokens):
    """Returns three stacks of matrices with a single one in each row.

    They select the sources that are kept `(batch, sources - num_merged, sources)`, the sources that are merged
    `(batch, num_merged, sources)`, and the targets of these `(batch, num_merged, targets)`.
    """
    keys = ops.cast(keys, keras.backend.result_type(keys.dtype, "float32"))
    keys = keys / ops.maximum(ops.sqrt(ops.sum(ops.square(keys), axis=-1, keepdims=True)), _MIN_NORM)
    sources, targets = keys[:, ::2], keys[:, 1::2]
    cosines = ops.matmul(sources, ops.swapaxes(targets, 1, 2))
    cosines = ops.stop_gradient(cosines + _protection(keys.shape[1], num_prefix_tokens, keys.dtype))
    largest = ops.max(cosines, axis=-1)
    order = ops.argsort(-largest, axis=-1)  # of the sources, the most similar first
    num_sources, num_targets = sources.shape[1], targets.shape[1]
    is_largest = ops.equal(cosines, ops.expand_dims(largest, -1))
    first = ops.min(ops.where(is_largest, ops.arange(num_targets), num_targets), axis=-1)  # LiteRT lacks Keras's argmax
    kept = ops.one_hot(ops.sort(order[:, num_merged:], axis=-1), num_sources, dtype=keys.dtype)
    merged = ops.one_hot(order[:, :num_merged], num_sources, dtype=keys.dtype)
    nearest = ops.one_hot(first, num_targets, dtype=keys.dtype)
    return kept, merged, ops.matmul(merged, nearest)


def _protection(num_tokens, num_prefix_tokens, dtype):
    """Returns what is added to the cosines `(sources, targets)`."""
    num_targets = num_tokens // 2
    source = ops.arange(num_tokens - num_targets)[:, None] == 0
    target = ops.logical_and(ops.arange(num_targets)[None] == 0, num_prefix_tokens == 2)
    return PROTECTED * ops.cast(ops.logical_or(source, target), dtype)


def _move(values, kept, merged, targets, num_prefix_tokens):
    """Adds the merged sources to their targets, and joins the kept sources and the targets."""
    kept, merged, targets = (ops.cast(matrices, values.dtype) for matrices in (kept, merged, targets))
    sources = values[:, ::2]
    received = ops.matmul(ops.swapaxes(targets, 1, 2), ops.matmul(merged, sources))
    sources, targets = ops.matmul(kept, sources), values[:, 1::2] + received
    if num_prefix_tokens == 1:
        return ops.concatenate([sources, targets], axis=1)
    return ops.concatenate([sources[:, :1], targets[:, :1], sources[:, 1:], targets[:, 1:]], axis=1)
