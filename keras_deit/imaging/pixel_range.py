"""Checks of the value range of images: pixels in 0..255, or normalised images."""

import warnings

import keras
import numpy as np

from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.concrete import concrete_values, is_symbolic

PIXEL_DTYPES = ("uint8", "uint16")
OVERSHOOT = 64  # a bicubic filter leaves 0..255 by up to a quarter of the range
LARGEST_NORMALIZED = 32  # normalised images lie within about -3..3; standardised line drawings reach 20
USUALLY_NORMALIZED = 4  # the brightest pixels of photographs that are normalised lie below
UNDO = "If they are normalised already, undo the normalisation: (images * std + mean) * 255."
LARGEST_DARK = 63  # of 255: a dataset without brighter pixels is in another range, such as 0..1 or 0..16
FIRST_IMAGES = 8  # of an array: enough to tell, and looked at in well under a millisecond


def check_pixels(images, name="The images"):
    """Checks that images have pixels in 0..255, as far as their values are known.

    uint8 and uint16 pass: their range is that of the dtype. Others pass if they lie in 0..255, with a tolerance for filters
    that overshoot, and their largest value is above 1 (or 0: black is black in every range). Values that are small and have
    negative ones are an error if they reach no further than normalised images, or the negative ones are large in proportion,
    and otherwise a warning: they may be dark pixels after a filter. Symbolic tensors pass.

    Args:
        images: Array or tensor of any shape, or a list of arrays, whose values are checked together: one dark image among
            others passes.
        name: What the images are, as the subject of the error message.

    Raises:
        ValueError: If the values lie in another range, such as 0..1 or -1..1, are booleans or are not finite.

    Example:

    >>> check_pixels(np.full((2, 2, 3), 0.5, "float32"))
    Traceback (most recent call last):
    ...
    ValueError: The images must have pixels in 0..255. Received: float32 values in 0.5..0.5. If they are pixels in 0..1, ...
    """
    arrays = images if isinstance(images, (list, tuple)) else [images]
    limits = [_limits(array) for array in arrays if not _has_pixel_dtype(array)]
    limits = [of_array for of_array in limits if of_array is not None]
    if not limits:
        return
    dtypes, lowest, highest = zip(*limits, strict=True)
    low, high = np.min(lowest), np.max(highest)
    if "bool" in dtypes:
        received, advice = "booleans", "Convert them: images.astype('uint8') * 255."
    elif not np.isfinite([low, high]).all():
        received, advice = "NaN or infinite values", "Find out where they come from."
    else:
        received, advice = f"{' and '.join(sorted(set(dtypes)))} values in {low:.4g}..{high:.4g}", _advice(low, high)
    if advice:
        raise ValueError(f"{name} must have pixels in 0..255. Received: {received}. {advice}")
    if low < 0 < high <= LARGEST_NORMALIZED:
        warn_caller(
            f"{name} must have pixels in 0..255, and those received may be normalised: they are {received}. {UNDO} If they "
            "are dark pixels, clip them to 0..255."
        )


def warn_of_dark_pixels(images, name):
    """Warns of images that use a small part of 0..255, such as 0..1 or 0..16, and come out almost black.

    Args:
        images: uint8 array of all images of a dataset.
        name: What the images are, as the subject of the message.
    """
    largest = int(images.max(initial=0))
    if 0 < largest <= LARGEST_DARK:
        warnings.warn(
            f"{name} have pixels in 0..255, but none is above {largest}: the images come out almost black. If {largest} is "
            f"white, multiply the pixels by 255 / {largest}.",
            stacklevel=1,  # one place for all callers: a dataset that is loaded for both splits is warned of once
        )


def check_normalized(images, mean=IMAGENET_MEAN, std=IMAGENET_STD, name="The images", advice=""):
    """Checks that images are normalised and not raw pixels, as far as their values are known.

    A warning is raised for images in 0..1 if images normalised by `mean` and `std` would lie elsewhere. It is no error,
    because bright images of little contrast can lie there. Large values are an error only if none is negative, and otherwise
    a warning, because images that are almost empty reach large values if they are normalised by their own mean and standard
    deviation. Integers are an error unless images normalised by `mean` and `std` reach 255, as with `std=1/255`.

    Args:
        images: Array or tensor `(batch, height, width, channels)`; the first images are looked at. Symbolic tensors pass.
        mean, std: The normalisation that the images should have, for pixels in 0..1.
        name: What the images are, as the subject of the message.
        advice: Further advice for raw pixels, the end of the error message.

    Raises:
        ValueError: If the values are integers, booleans, not finite, or as large as raw pixels.

    Example:

    >>> check_normalized(np.full((1, 2, 2, 3), 255, "uint8"))
    Traceback (most recent call last):
    ...
    ValueError: The images must be normalised by mean and standard deviation. Received: uint8 values in 255..255. ...
    """
    is_sliced = getattr(images, "ndim", 0) and not isinstance(images, keras.KerasTensor)
    limits = _limits(images[:FIRST_IMAGES] if is_sliced else images)
    if limits is None:
        return
    dtype, low, high = limits
    is_black = low == high == 0
    if not np.isfinite([low, high]).all():
        raise ValueError(f"{name} must be normalised by mean and standard deviation. Received: NaN or infinite values.")
    received = f"{dtype} values in {low:.4g}..{high:.4g}"
    largest = _largest_normalized(mean, std)
    is_large = max(-low, high) > largest
    is_of_pixels = dtype == "bool" or ("float" not in dtype and largest < 255)
    if not is_black and (is_of_pixels or (is_large and low >= 0)):
        raise ValueError(
            f"{name} must be normalised by mean and standard deviation. Received: {received}. Pass the pixels in 0..255 "
            "through keras_deit.ImageProcessor first, or compute (images / 255 - mean) / std with "
            f"mean={_rounded(mean)} and std={_rounded(std)}. {advice}".rstrip()
        )
    if is_large:
        warn_caller(
            f"{name} seem not to be normalised by mean={_rounded(mean)} and std={_rounded(std)}: they are {received}. "
            "Ignore this if they are normalised by another mean and standard deviation. Otherwise compute "
            "(images - mean) / std of pixels in 0..1."
        )
    if 0 <= low < high <= 1 and np.min(-np.asarray(mean) / np.asarray(std)) < 0:
        warn_caller(
            f"{name} seem to be pixels in 0..1 that are not normalised: they are {received}. Images normalised by "
            f"mean={_rounded(mean)} and std={_rounded(std)} have negative values. Compute (images - mean) / std."
        )


def _largest_normalized(mean, std):
    """The largest absolute value that images normalised by `mean` and `std` may have; more where pixels keep their range."""
    mean, std = np.asarray(mean), np.asarray(std)
    return max(LARGEST_NORMALIZED, 2 * np.abs([mean / std, (1 - mean) / std]).max())


def _has_pixel_dtype(array):
    return keras.backend.standardize_dtype(array.dtype) in PIXEL_DTYPES


def _limits(array):
    """Name of the dtype, smallest and largest value; None if the array is empty or its values are not known."""
    if is_symbolic(array) or 0 in array.shape:
        return None
    dtype = keras.backend.standardize_dtype(array.dtype)
    if keras.ops.is_tensor(array) and keras.backend.is_float_dtype(dtype):
        not_finite = keras.ops.sum(
            array * 0
        )  # NaN if a value is not finite: not every device finds that by min and max
        limits = keras.ops.min(array) + not_finite, keras.ops.max(array)
        low, high = (float(concrete_values(keras.ops.cast(limit, "float32"))) for limit in limits)
        return dtype, low, high  # the batch itself stays on its device
    values = concrete_values(array)
    if values.dtype.kind not in "biuf":  # bfloat16 is none of NumPy's own kinds
        values = values.astype("float32")
    return dtype, float(values.min()), float(values.max())


def _advice(low, high):
    """What to do about values in `low..high`; None if they are pixels in 0..255."""
    if low >= 0 and 0 < high <= 1:
        return (
            "If they are pixels in 0..1, multiply them by 255; if the images are almost black, convert them to uint8."
        )
    if low < 0 and (high <= USUALLY_NORMALIZED or (high <= LARGEST_NORMALIZED and low < -high * OVERSHOOT / 255)):
        return UNDO
    if low < -OVERSHOOT or high > 255 + OVERSHOOT:
        return "Scale them to 0..255."
    return None


def _rounded(values):
    return [round(float(value), 4) for value in np.ravel(values)]
