"""Mixup and cutmix: the images of a batch are mixed with those of the reversed batch."""

import math

import numpy as np

CUTMIX_PROBABILITY = 0.5  # that a batch is mixed by cutmix, if both mixup and cutmix are used


def draw(rng, height, width, mixup=0.8, cutmix=1.0):
    """Draws how a batch is mixed: by mixup or by cutmix.

    Args:
        rng: `numpy.random.Generator`.
        height, width: Size of the images in pixels.
        mixup, cutmix: Parameters of the Beta distributions of the share that an image keeps. If one of them is 0, the other
            method is always used.

    Returns:
        `(share, box)`: the share of its own label that an image keeps, and the box `(top, bottom, left, right)` of the
        pixels that cutmix takes from the other image. For mixup the box is None, and every pixel is blended with the share.

    Example:

    >>> share, box = draw(np.random.default_rng(0), 4, 4, mixup=0.8, cutmix=0.0)
    >>> box is None
    True

    Reference:
        Zhang et al., 2017 (arXiv 1710.09412); Yun et al., 2019 (arXiv 1905.04899), appendix A; timm's `Mixup` in its batch
        mode, which computes the label's share from the box after it was clipped at the image's border.
    """
    cuts = rng.random() < CUTMIX_PROBABILITY if mixup and cutmix else bool(cutmix)
    if not cuts:
        return rng.beta(mixup, mixup), None
    side = math.sqrt(1 - rng.beta(cutmix, cutmix))
    top, bottom = _cut(rng, height, int(height * side))
    left, right = _cut(rng, width, int(width * side))
    return 1 - (bottom - top) * (right - left) / (height * width), (top, bottom, left, right)


def mix(images, labels, share, box):
    """Mixes a batch with the reversed batch.

    Args:
        images: Array `(batch, height, width, channels)` of floats, which is overwritten with the mixed images.
        labels: `(batch, classes)`, one-hot or smoothed.
        share, box: From `draw`.

    Returns:
        The mixed images, which are `images`, and the mixed labels.
    """
    if box is None:
        _blend(images, np.float32(share), np.float32(1 - share))
    else:
        top, bottom, left, right = box
        images[:, top:bottom, left:right] = images[::-1, top:bottom, left:right].copy()
    return images, labels * np.float32(share) + labels[::-1] * np.float32(1 - share)


def _blend(images, share, rest):
    """Blends every image with its partner in place. Two images at a time stay in the cache of the processor."""
    for one, other in zip(images[: (len(images) + 1) // 2], images[::-1], strict=False):
        blended = one * share + other * rest
        other[...] = other * share + one * rest
        one[...] = blended


def _cut(rng, length, cut):
    centre = int(rng.integers(length))
    return max(centre - cut // 2, 0), min(centre + cut // 2, length)
