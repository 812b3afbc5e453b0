"""Accuracies that may be those of random predictions."""

import math

STANDARD_DEVIATIONS = 3  # of the accuracy of random predictions


def describe_chance(accuracy, num_classes, num_images):
    """Describes an accuracy that may be that of random predictions.

    Args:
        accuracy: Accuracy in 0..1.
        num_classes: Number of classes.
        num_images: Number of labelled images.

    Returns:
        Text that continues "The teacher is ..."; None for a higher accuracy, or without a labelled image.

    Example:

    >>> describe_chance(0.25, num_classes=5, num_images=400)
    'right on 25.0% of 400 test images, about as often as random predictions would be (20.0% with 5 classes)'
    """
    if not num_images or accuracy > chance_level(num_classes, num_images):
        return None
    mean = 1 / num_classes
    comparison = "less often than" if accuracy < mean / 2 else "about as often as"
    return (
        f"right on {accuracy:.1%} of {num_images:,} test images, {comparison} random predictions would be "
        f"({mean:.1%} with {num_classes:,} classes)"
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
