"""Random masks for masked image modelling."""

import math

import numpy as np


def random_masks(batch_size, grid, mask_ratio=0.6, block_size=2, rng=None):
    """Draws an independent mask of patches for each image.

    Args:
        batch_size: Number of masks.
        grid: `(rows, columns)` of patches, `(14, 14)` for 224 pixels in patches of 16.
        mask_ratio: Fraction of the image to mask in 0..1, rounded up to whole blocks.
        block_size: Side in patches of the square blocks that are masked together.
        rng: `numpy.random.Generator`, or a seed for one; None gives other masks in each call.

    Returns:
        Array `(batch_size, rows * columns)` of booleans, True = masked.

    Raises:
        ValueError: If the blocks do not fill the grid or the ratio lies outside of 0..1.

    Example:

    >>> random_masks(4, grid=(14, 14), rng=0).sum(axis=1)
    array([120, 120, 120, 120])

    Reference:
        Xie et al., 2021, SimMIM (arXiv 2111.09886), section 3.2: blocks of 32 pixels, a mask ratio of 0.6.
    """
    rows, columns = grid
    if block_size < 1 or rows % block_size or columns % block_size:
        raise ValueError(f"`block_size` must divide the grid. Received: block_size={block_size}, grid={tuple(grid)}")
    if not 0 <= mask_ratio <= 1:
        raise ValueError(f"`mask_ratio` must lie in 0..1. Received: mask_ratio={mask_ratio}")
    blocks = (rows // block_size, columns // block_size)
    num_blocks = math.prod(blocks)
    ranks = np.random.default_rng(rng).random((batch_size, num_blocks)).argsort(axis=1).argsort(axis=1)
    masked = (ranks < math.ceil(round(num_blocks * mask_ratio, 6))).reshape(batch_size, *blocks)
    return masked.repeat(block_size, axis=1).repeat(block_size, axis=2).reshape(batch_size, -1)
