"""The patches that the class token and the distillation token attend to."""

import itertools

import numpy as np
from keras import ops

from keras_deit.explain.forward import backbone_of, grid_of, map_images
from keras_deit.runtime.numpy_numbers import python_number

TOKENS = ("class", "distillation")  # in the order of the prefix tokens
NO_ATTENTION = "Lower `discard_ratio` if it is given; otherwise the weights of the model are damaged."


def attention_rollout(model, images, token="class", discard_ratio=0.0):
    """Computes how much of each patch reaches a token through the attention of all blocks.

    In every block the attention maps are averaged over the heads. Half of this mean and half of the identity, which stands
    for the residual connection, are added, and the rows are normalised. The product of these matrices over the blocks says
    how a token after the last block is mixed from the tokens before the first one. The row of `token` is restricted to the
    patches and normalised.

    Args:
        model: A `DeiT`, `DeiTClassifier` or `DeiTBackbone`, or a `Distiller` with such a student.
        images: Normalised images `(images, height, width, 3)`, or batches of them in any form that Keras takes, such as
            `keras_deit.data.InputPipeline.evaluation_batches()`.
        token: `"class"` or `"distillation"`.
        discard_ratio: Fraction in [0, 1) of the values of each block's mean map that is set to 0, the smallest ones of all
            rows and columns of the map, before the identity is added. 0.9 makes clearer pictures, and 0 is the definition of
            the paper.

    Returns:
        Float32 array `(images, rows, columns)`, for the patches of each image. Each map sums to 1.

    Raises:
        ValueError: If the model has no such token, merges tokens or is no DeiT, the images are not normalised, or
            `discard_ratio` is out of range or leaves nothing of an image.

    Example:

    >>> import keras_deit as kd
    >>> deit = kd.DeiT.from_variant("deit_ti", num_layers=2, image_size=(64, 32), num_classes=10)
    >>> maps = kd.explain.attention_rollout(deit, np.zeros((1, 64, 32, 3), "float32"))
    >>> maps.shape, round(float(maps.sum()), 4)
    ((1, 4, 2), 1.0)

    Reference:
        Abnar & Zuidema, 2020 (arXiv 2005.00928), section 3. The discarding follows github.com/jacobgil/vit-explain, where
        the class token's attention to itself is kept in any case; here no value is exempt.
    """
    return only(token, rollout_maps(model, images, [token], discard_ratio))


def raw_attention(model, images, token="class", block=None, head=None):
    """Computes the attention of a token to the patches in one block.

    Args:
        model, images, token: See `attention_rollout`.
        block: Number of the block, counted from 1; None means the last block.
        head: Number of the attention head, counted from 1; None means the mean over the heads.

    Returns:
        Float32 array `(images, rows, columns)`: the token's row of the attention map, without the columns of the prefix
        tokens, normalised so that each map sums to 1. `DeiTBackbone.attention_maps` returns whole maps.

    Raises:
        ValueError: If there is no such block or head, or as for `attention_rollout`.

    Example:

    >>> import keras_deit as kd
    >>> deit = kd.DeiT.from_variant("deit_ti", num_layers=2, image_size=32, patch_size=8, num_classes=10)
    >>> kd.explain.raw_attention(deit, np.zeros((3, 32, 32, 3), "float32"), "distillation", head=2).shape
    (3, 4, 4)

    Reference:
        Caron et al., 2021 (arXiv 2104.14294), figure 1, shows such maps of the last block.
    """
    return only(token, raw_maps(model, images, [token], block, head))


def rollout_maps(model, images, tokens, discard_ratio=0.0):
    """Computes `attention_rollout` for several tokens at once, batch by batch.

    Args:
        model, images, discard_ratio: See `attention_rollout`.
        tokens: List of `"class"` and `"distillation"`.

    Yields:
        For each batch, a dictionary from the tokens to their maps `(batch, rows, columns)`.

    Raises:
        ValueError: See `attention_rollout`.
    """
    discard_ratio = python_number(discard_ratio)
    if not 0 <= discard_ratio < 1:
        raise ValueError(f"`discard_ratio` must lie in [0, 1). Received: discard_ratio={discard_ratio}")

    def mean_maps(backbone, images):
        means = [ops.mean(attention, axis=1) for _, attention, _ in backbone.iter_blocks(images)]
        return ops.stack(means, axis=1)  # (batch, blocks, tokens, tokens)

    def row_of(maps, token):
        return _rollout(maps, token_index(model, token), discard_ratio)

    return patch_maps(mean_maps, row_of, model, images, tokens)


def raw_maps(model, images, tokens, block=None, head=None):
    """Computes `raw_attention` for several tokens at once, batch by batch.

    Args:
        model, images, block, head: See `raw_attention`.
        tokens: List of `"class"` and `"distillation"`.

    Yields:
        For each batch, a dictionary from the tokens to their maps `(batch, rows, columns)`.

    Raises:
        ValueError: See `raw_attention`.
    """
    backbone = backbone_of(model)
    block = _checked_number("block", block, backbone.num_layers) or backbone.num_layers
    head = _checked_number("head", head, backbone.num_heads)

    def prefix_rows(backbone, images):
        _, attention, _ = next(itertools.islice(backbone.iter_blocks(images), block - 1, None))
        attention = attention[:, :, : backbone.num_prefix_tokens]  # (batch, heads, prefix tokens, tokens)
        return ops.mean(attention, axis=1) if head is None else attention[:, head - 1]

    def row_of(rows, token):
        return rows[:, token_index(model, token)]

    return patch_maps(prefix_rows, row_of, model, images, tokens)


def token_index(model, token):
    """Returns the position of a prefix token.

    Args:
        model: See `attention_rollout`.
        token: `"class"` or `"distillation"`.

    Returns:
        0 or 1.

    Raises:
        ValueError: If there is no such token, or the model lacks it.
    """
    if token not in TOKENS:
        raise ValueError(f"`token` must be one of {TOKENS}. Received: token={token!r}")
    if token == "distillation" and not backbone_of(model).distilled:
        raise ValueError(
            "token='distillation' needs a model with a distillation token, but this one has a class token only."
        )
    return TOKENS.index(token)


def _checked_number(name, number, largest):
    number = python_number(number)
    if number is not None and (not isinstance(number, int) or not 1 <= number <= largest):
        raise ValueError(f"`{name}` must be a number in 1..{largest}, or None. Received: {name}={number!r}")
    return number


def patch_maps(compute, row_of, model, images, tokens, cause=NO_ATTENTION):
    """Computes maps of tokens, batch by batch.

    Args:
        compute: See `keras_deit.explain.forward.map_images`.
        row_of: Function of the arrays that `compute` returns for a batch and of a token. It returns the weights of all
            tokens in this token, `(batch, tokens)`.
        model, images: See `attention_rollout`.
        tokens: List of `"class"` and `"distillation"`.
        cause: Sentence that ends the error if no patch of an image has a weight: why, or what to do.

    Yields:
        For each batch, a dictionary from the tokens to maps `(batch, rows, columns)` of the patches that sum to 1.

    Raises:
        ValueError: If the model lacks a token, or no patch has a weight.
    """
    backbone = backbone_of(model)
    for token in tokens:
        token_index(model, token)
    for outputs in map_images(compute, model, images):
        yield {token: _patch_map(backbone, row_of(outputs, token), token, cause) for token in tokens}


def only(token, batches):
    """Joins the maps of one token, `(images, rows, columns)`, from the dictionaries that `patch_maps` yields."""
    return np.concatenate([maps[token] for maps in batches])


def _rollout(maps, index, discard_ratio):
    """A row of the product of the matrices of all blocks, from the last block to the first: `(batch, tokens)`."""
    num_images, num_blocks, num_tokens, _ = maps.shape
    row = np.zeros((num_images, num_tokens))
    row[:, index] = 1
    for block in reversed(range(num_blocks)):
        mixing = _without_smallest(maps[:, block].astype("float64"), discard_ratio) + np.eye(num_tokens)
        mixing /= mixing.sum(axis=-1, keepdims=True)
        row = np.einsum("bi,bij->bj", row, mixing)
    return row


def _without_smallest(maps, ratio):
    values = maps.reshape(len(maps), -1)
    number = int(ratio * values.shape[1])
    if number:
        smallest = np.argpartition(values, number - 1, axis=1)[:, :number]
        np.put_along_axis(values, smallest, 0, axis=1)
    return values.reshape(maps.shape)


def _patch_map(backbone, rows, token, cause):
    """Arranges a token's row of weights `(images, tokens)` as maps of the patches that sum to 1.

    `cause` is the sentence of the error for a row without a weight of a patch.
    """
    weights = rows[:, backbone.num_prefix_tokens :].astype("float64")
    sums = weights.sum(axis=1, keepdims=True)
    if not np.all(sums > 0):
        raise ValueError(f"The {token} token of image {int(np.argmin(sums))} of a batch attends to no patch. {cause}")
    return (weights / sums).reshape(-1, *grid_of(backbone)).astype("float32")
