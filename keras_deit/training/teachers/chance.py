"""A warning about a teacher that is no better than chance."""

import math
import warnings

import numpy as np

STANDARD_DEVIATIONS = 3  # of the accuracy of random predictions


def warn_if_at_chance(accuracy, data):
    """Warns if a teacher's accuracy may be that of random predictions.

    Args:
        accuracy: Accuracy on a split, in 0..1.
        data: `LabelledImages` of the split.
    """
    num_labelled = len(data) if data.labels is None else int((np.asarray(data.labels) >= 0).sum())
    if not num_labelled or accuracy > chance_level(data.num_classes, num_labelled):
        return
    warnings.warn(
        f"The teacher is right on {accuracy:.1%} of the {num_labelled:,} test images, about as often as random predictions "
        f"would be ({1 / data.num_classes:.1%} with {data.num_classes} classes). Likely causes: the teacher takes pixels of "
        "another range (--teacher-value-range 0,255) or with another normalisation (--teacher-mean, --teacher-std), or its "
        "classes have another order than those of the dataset. `keras-deit show-data --teacher` draws its predictions.",
        stacklevel=2,
    )


def chance_level(num_classes, num_images):
    """The largest accuracy that random predictions reach by chance.

    The mean of random predictions plus three standard deviations of a binomial distribution, but at most half of the way
    from the mean to 1: on very few images a good teacher could not be told from chance.

    Args:
        num_classes: Number of classes.
        num_images: Number of labelled images.

    Returns:
        Accuracy in 0..1.

    Example:

    >>> round(chance_level(num_classes=5, num_images=400), 3)
    0.26
    """
    mean = 1 / num_classes
    deviation = math.sqrt(mean * (1 - mean) / num_images)
    return min(mean + STANDARD_DEVIATIONS * deviation, (1 + mean) / 2)
