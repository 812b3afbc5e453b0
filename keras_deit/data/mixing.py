"""Mixup and cutmix: every image of a batch with the one at the other end."""

import math

import numpy as np


def draw_mixing(rng, height, width, mixup_alpha=0.8, cutmix_alpha=1.0, cutmix_probability=0.5):
    """Draws how a batch is mixed: by mixup or by cutmix, one of the two.

    Args:
        rng: `numpy.random.Generator`.
        height, width: Of the images, in pixels.
        mixup_alpha, cutmix_alpha: Parameters of the Beta distributions of the share that an image keeps.
        cutmix_probability: With which the batch is mixed by cutmix.

    Returns:
        A float32 mask `(height, width, 1)`, the share of its own value that every pixel keeps; and its mean, the share of
        its own label.

    Example:

    >>> mask, share = draw_mixing(np.random.default_rng(0), 4, 4, cutmix_probability=0.0)
    >>> bool(np.all(mask == np.float32(share)))
    True

    Reference:
        Zhang et al., 2017 (arXiv 1710.09412); Yun et al., 2019 (arXiv 1905.04899), appendix A; timm's `Mixup` in its batch
        mode, which takes the label's share from the box as it was cut off at the border.
    """
    if rng.random() >= cutmix_probability:
        share = rng.beta(mixup_alpha, mixup_alpha)
        return np.full((height, width, 1), share, "float32"), share
    side = math.sqrt(1 - rng.beta(cutmix_alpha, cutmix_alpha))
    mask = np.ones((height, width, 1), "float32")
    rows, columns = (_cut(rng, length, int(length * side)) for length in (height, width))
    mask[rows, columns] = 0
    return mask, float(mask.mean(dtype="float64"))


def mix(images, labels, mask, share):
    """Mixes a batch with itself turned round.

    Args:
        images: `(batch, height, width, channels)`, floats; arrays or tensors of any framework that turns round by `[::-1]`.
        labels: `(batch, classes)`, one-hot or smoothed.
        mask, share: From `draw_mixing`.

    Returns:
        The mixed images and labels.
    """
    return images * mask + images[::-1] * (1 - mask), labels * share + labels[::-1] * (1 - share)


def _cut(rng, length, cut):
    centre = int(rng.integers(length))
    return slice(max(centre - cut // 2, 0), min(centre + cut // 2, length))
