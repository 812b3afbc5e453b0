"""How far the attention heads look, by block."""

import numpy as np
from keras import ops

from keras_deit.explain.forward import backbone_of, grid_of, map_images

SMALLEST_SUM = 1e-30  # of a patch's attention to patches


def attention_distance(model, images):
    """Computes the mean distance between a patch and the patches that it attends to, for each head of each block.

    Heads with a small distance look at their neighbourhood, as a convolution does. Heads with a large distance combine
    information of the whole image.

    Args:
        model, images: See `keras_deit.explain.attention_rollout`.

    Returns:
        Float64 array `(blocks, heads)` of distances in pixels of the model's input: for each patch, the mean of the
        distances between its centre and those of all patches, weighted by the attention; averaged over all patches and
        images. Prefix tokens have no position: their rows do not count, and the other rows are normalised without their
        columns.

    Raises:
        ValueError: If the model merges tokens or is no DeiT, or the images are not normalised.

    Example:

    >>> import keras_deit as kd
    >>> deit = kd.DeiT.from_variant("deit_ti", num_layers=2, image_size=32, patch_size=8, num_classes=10)
    >>> kd.explain.attention_distance(deit, np.zeros((4, 32, 32, 3), "float32")).shape
    (2, 3)

    Reference:
        Dosovitskiy et al., 2020 (arXiv 2010.11929), section 4.5 and figures 7 and 11.
    """
    distances = patch_distances(grid_of(backbone_of(model)), backbone_of(model).patch_size)

    def mean_distances(backbone, images):
        return _mean_distances(backbone, images, ops.convert_to_tensor(distances))

    return np.concatenate(list(map_images(mean_distances, model, images))).mean(axis=0, dtype="float64")


def patch_distances(grid, patch_size):
    """Computes the distances between the centres of all patches.

    Args:
        grid: Rows and columns of patches.
        patch_size: Side of a patch in pixels.

    Returns:
        Float32 array `(N, N)` in pixels, for N patches in the order of the patch tokens.

    Example:

    >>> patch_distances((1, 3), patch_size=16).tolist()
    [[0.0, 16.0, 32.0], [16.0, 0.0, 16.0], [32.0, 16.0, 0.0]]
    """
    rows, columns = np.indices(grid).reshape(2, -1, 1)
    return (patch_size * np.hypot(rows - rows.T, columns - columns.T)).astype("float32")


def _mean_distances(backbone, images, distances):
    """The mean over the patches, `(batch, blocks, heads)`."""
    first, means = backbone.num_prefix_tokens, []
    for _, attention, _ in backbone.iter_blocks(images):
        attention = attention[:, :, first:, first:]
        sums = ops.maximum(ops.sum(attention, axis=-1), SMALLEST_SUM)
        means.append(ops.mean(ops.sum(attention * distances, axis=-1) / sums, axis=-1))
    return ops.stack(means, axis=1)
