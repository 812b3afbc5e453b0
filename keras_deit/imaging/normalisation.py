"""The check of a normalisation by mean and standard deviation."""

import numpy as np

LEVELS = 256  # of a pixel of eight bits
LARGEST_STD = 2  # in widths of the range: 256 for pixels in 0..255 is usual, too
FLOAT_RANGE = 2  # width of -1..1, the wider one of the usual ranges of floats


def check_normalisation(mean, std, value_range=(0, 1), names=("mean", "std", None)):
    """Checks that mean and standard deviation are those of pixels of a range.

    Values for pixels in 0..255 that are applied to pixels in 0..1, or the reverse, would make all images nearly the same,
    without an error.

    Args:
        mean, std: A number, or one number for each channel; None means none.
        value_range: `(low, high)`, the range of the pixels.
        names: What the message calls the three; None for a range that cannot be chosen.

    Raises:
        ValueError: If a mean lies outside of the range, a standard deviation is not positive, larger than twice
            the range or smaller than the step between two pixel values, or a value is not finite.

    Example:

    >>> check_normalisation(mean=123.7, std=58.4)
    Traceback (most recent call last):
    ValueError: `mean` must lie in 0..1, for pixels in 0..1. Received: mean=123.7. Divide both by 255 if they are ...
    """
    low, high = value_range
    width = high - low
    least, largest = width / LEVELS, LARGEST_STD * width
    of_mean, of_std, of_range = names
    pixels = f"for pixels in {low:g}..{high:g}"
    if mean is not None and not np.all((np.asarray(mean) >= low) & (np.asarray(mean) <= high)):
        problem = f"`{of_mean}` must lie in {low:g}..{high:g}, {pixels}. Received: {of_mean}={mean}"
    elif std is None:
        return
    elif not np.all(np.asarray(std) > 0):
        raise ValueError(f"`{of_std}` must be positive. Received: {of_std}={std}")
    elif np.min(std) < least or np.max(std) > largest:
        problem = f"`{of_std}` must be from {least:.3g} to {largest:g}, {pixels}. Received: {of_std}={std}"
    else:
        return
    scaling = "Divide both by 255 if they are those of pixels in 0..255"
    if width > FLOAT_RANGE:
        scaling = "Multiply both by 255 if they are those of pixels in 0..1"
    other_range = f", or give `{of_range}`" if of_range else ""
    raise ValueError(f"{problem}. {scaling}{other_range}.")


def of_three_channels(name, values):
    """Reads a mean or standard deviation of RGB images.

    Args:
        name: Name of the argument, for the message.
        values: A number for all channels, or one for each.

    Returns:
        Tuple of three floats.

    Raises:
        ValueError: If there is another number of values.

    Example:

    >>> of_three_channels("mean", 0.5)
    (0.5, 0.5, 0.5)
    """
    if np.size(values) not in (1, 3):
        raise ValueError(f"`{name}` must be one number, or one for each of three channels. Received: {name}={values}")
    return tuple(np.broadcast_to(np.ravel(values), 3).tolist())
