"""How similar the class token and the distillation token are, by depth."""

import numpy as np
from keras import ops

from keras_deit.explain.attention import token_index
from keras_deit.explain.forward import map_images


def token_similarity(model, images):
    """Computes the cosine of the angle between the class token and the distillation token, block by block.

    The paper finds 0.06 at the input and 0.93 at the output of its trained model: the tokens converge towards each other
    without becoming equal, as their targets are similar but not identical.

    Args:
        model, images: See `keras_deit.explain.attention_rollout`.

    Returns:
        Float64 array `(blocks + 1,)` with the mean over the images, in -1..1. The first value is of the tokens that enter
        the first block, with their position embeddings, the same for every image. The others are of the tokens that each
        block returns; the final layer norm is not applied.

    Raises:
        ValueError: If the model has no distillation token, merges tokens or is no DeiT, or the images are not normalised.

    Example:

    >>> import keras_deit as kd
    >>> deit = kd.DeiT.from_variant("deit_ti", num_layers=2, image_size=32, patch_size=8, num_classes=10)
    >>> kd.explain.token_similarity(deit, np.zeros((4, 32, 32, 3), "float32")).shape
    (3,)

    Reference:
        Touvron et al., 2020 (arXiv 2012.12877), section 4, "Distillation token".
    """
    token_index(model, "distillation")
    return np.concatenate(list(map_images(token_cosines, model, images))).mean(axis=0, dtype="float64")


def token_cosines(backbone, images):
    """Computes the cosine of the two tokens for each image.

    Args:
        backbone: `DeiTBackbone` with two tokens.
        images: Normalised images `(batch, height, width, 3)`.

    Returns:
        Tensor `(batch, blocks + 1)`, see `token_similarity`.
    """
    cosines = []
    for inputs, _, outputs in backbone.iter_blocks(images):
        cosines += [_cosine(outputs)] if cosines else [_cosine(inputs), _cosine(outputs)]
    return ops.stack(cosines, axis=1)


def _cosine(tokens):
    pair = ops.cast(tokens[:, :2], "float32")  # (batch, 2, hidden_dim)
    pair = pair / ops.norm(pair, axis=-1, keepdims=True)
    return ops.sum(pair[:, 0] * pair[:, 1], axis=-1)
