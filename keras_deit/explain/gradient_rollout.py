"""Attention rollout, weighted by the gradient of a class."""

import numpy as np
from keras import ops

from keras_deit.explain.attention import TOKENS, only, patch_maps, token_index
from keras_deit.models.classifier import LATE_FUSIONS, DeiTClassifier
from keras_deit.models.deit import DeiT
from keras_deit.runtime.gradients import gradients
from keras_deit.runtime.numpy_numbers import python_number

NO_SLOPE = (
    "No attention to a patch raises the logit of the class: pass another `class_index`, or use `attention_rollout` for the "
    "image."
)


def gradient_rollout(model, images, token="class", class_index=None):
    """Computes the attention of a token through all blocks, as far as it raises the logit of a class.

    In every block, the attention map of each head is multiplied by the gradient of the logit with respect to the map.
    Negative values become 0, and the mean over the heads is taken. The identity, which stands for the residual connection,
    is added, and the product of these matrices over the blocks is computed. The row of `token` is restricted to the patches
    and normalised. Unlike that of `attention_rollout`, the map depends on the class.

    Args:
        model: A `DeiT` or `DeiTClassifier`, or a `Distiller` with such a student.
        images: See `attention_rollout`.
        token: `"class"` or `"distillation"`. The logit is that of the head of this token.
        class_index: Index of the class; None means the class with the largest logit of that head, for each image.

    Returns:
        Float32 array `(images, rows, columns)`. Each map sums to 1.

    Raises:
        ValueError: If the model has no such head or class, merges tokens or is no DeiT, the images are not normalised, or no
            attention to a patch of an image raises the logit.

    Example:

    >>> import keras_deit as kd
    >>> deit = kd.DeiT.from_variant("deit_ti", num_layers=2, image_size=32, patch_size=8, num_classes=10)
    >>> kd.explain.gradient_rollout(deit, np.ones((1, 32, 32, 3), "float32"), class_index=3).shape
    (1, 4, 4)

    Reference:
        Chefer et al., 2021 (arXiv 2103.15679), equations 5 and 6.
    """
    return only(token, gradient_maps(model, images, [token], class_index))


def gradient_maps(model, images, tokens, class_index=None):
    """Computes `gradient_rollout` for several tokens at once, batch by batch.

    Args:
        model, images, class_index: See `gradient_rollout`.
        tokens: List of `"class"` and `"distillation"`.

    Yields:
        For each batch, a dictionary from the tokens to their maps `(batch, rows, columns)`.

    Raises:
        ValueError: See `gradient_rollout`.
    """
    indices = {token: token_index(model, token) for token in tokens}
    deit = _deit_of(model)
    class_index = python_number(class_index)
    if class_index is not None and not 0 <= class_index < deit.num_classes:
        raise ValueError(
            f"`class_index` must lie in 0..{deit.num_classes - 1}, or be None. Received: class_index={class_index}"
        )

    def weighted_maps(backbone, images):
        return {
            token: _weighted_maps(backbone, deit.get_layer(f"{token}_head"), index, images, class_index)
            for token, index in indices.items()
        }

    def row_of(maps, token):
        return _relevance(maps[token], TOKENS.index(token))

    return patch_maps(weighted_maps, row_of, model, images, tokens, NO_SLOPE)


def _deit_of(model):
    model = getattr(model, "student", model)
    is_late = isinstance(model, DeiTClassifier) and model.fusion in LATE_FUSIONS
    if is_late or not isinstance(model, (DeiT, DeiTClassifier)):
        kind = f"a DeiTClassifier with fusion={model.fusion!r}" if is_late else type(model).__name__
        raise ValueError(f"The gradient is that of the head of a token: pass a keras_deit DeiT. Received: {kind}")
    return model.deit if isinstance(model, DeiTClassifier) else model


def _weighted_maps(backbone, head, index, images, class_index):
    """The positive parts of gradient times attention, averaged over the heads: `(batch, blocks, tokens, tokens)`."""

    def logits_and_maps(offsets):
        _, maps, tokens = zip(*backbone.iter_blocks(images, attention_offsets=offsets), strict=True)
        return head(backbone.get_layer("norm")(tokens[-1])[:, index]), maps

    logits, maps = logits_and_maps(None)
    of_class = ops.argmax(logits, axis=-1) if class_index is None else class_index
    chosen = ops.one_hot(of_class, logits.shape[-1], dtype=logits.dtype)

    def sum_of_logits(offsets):
        return ops.sum(logits_and_maps(offsets)[0] * chosen)

    slopes = gradients(sum_of_logits, [ops.zeros_like(attention) for attention in maps])
    weighted = [ops.relu(slope * attention) for slope, attention in zip(slopes, maps, strict=True)]
    return ops.stack([ops.mean(one, axis=1) for one in weighted], axis=1)


def _relevance(maps, index):
    """A row of the product of identity plus map over the blocks, from the last block to the first: `(batch, tokens)`."""
    row = np.zeros((len(maps), maps.shape[-1]))
    row[:, index] = 1
    for block in reversed(range(maps.shape[1])):
        row = row + np.einsum("bi,bij->bj", row, maps[:, block].astype("float64"))
    return row
