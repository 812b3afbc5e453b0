"""The kernels of resizing, and the weights of a resized and cropped axis."""

import dataclasses
import functools

import numpy as np

from keras_deit.choices import INTERPOLATIONS
from keras_deit.imaging.sizes import centre_crop_offset

HALF = 2**11  # PIL rounds its weights to multiples of 1 / HALF²
MAX_CACHED, MAX_CACHED_VALUES = 32, 2**18  # with 8 bytes for each value, the cache takes 64 MiB at most


def cubic_kernel(distances, a):
    """Computes the bicubic kernel's weights of pixels by their distances.

    Args:
        distances: Array of distances in pixels, not negative.
        a: Slope of the kernel at distance 1: -0.5 in PIL, -0.75 in PyTorch.

    Returns:
        Array of the same shape; the weight is 0 from distance 2 on.

    Example:

    >>> cubic_kernel(np.array([0.0, 0.5, 1.5, 2.0]), a=-0.5).tolist()
    [1.0, 0.5625, -0.0625, 0.0]

    Reference:
        Keys, 1981, Cubic convolution interpolation for digital image processing, equations 4 and 8.
    """
    near = (a + 2) * distances**3 - (a + 3) * distances**2 + 1
    far = a * (distances**3 - 5 * distances**2 + 8 * distances - 4)
    return np.where(distances < 1, near, np.where(distances < 2, far, 0.0))


def box_kernel(distances):
    """Averages the pixels whose centres lie in the new pixel: 1 for distances above -0.5 and at most 0.5, otherwise 0."""
    return np.where((distances > -0.5) & (distances <= 0.5), 1.0, 0.0)


def triangle_kernel(distances):
    """Bilinear kernel: falls linearly from 1 at distance 0 to 0 at distance 1."""
    return np.maximum(1 - np.abs(distances), 0.0)


def hamming_kernel(distances):
    """Sinc function under a Hamming window: 0 from distance 1 on."""
    return np.where(np.abs(distances) < 1, np.sinc(distances) * (0.54 + 0.46 * np.cos(np.pi * distances)), 0.0)


def lanczos_kernel(distances):
    """Sinc function under its own main lobe, stretched to a distance of 3 pixels."""
    return np.where(np.abs(distances) < 3, np.sinc(distances) * np.sinc(distances / 3), 0.0)


PILLOW_SLOPE = -0.5  # of Pillow's bicubic kernel
# Pillow's filters: support in pixels, and kernel of the signed distance. The filter `nearest` has no kernel.
FILTERS = {
    "box": (0.5, box_kernel),
    "bilinear": (1.0, triangle_kernel),
    "hamming": (1.0, hamming_kernel),
    "bicubic": (2.0, lambda distances: cubic_kernel(np.abs(distances), PILLOW_SLOPE)),
    "lanczos": (3.0, lanczos_kernel),
}
NEAREST = "nearest"


def check_interpolation(interpolation):
    """Checks the name of a filter.

    Args:
        interpolation: Name of a filter of Pillow.

    Raises:
        ValueError: If there is no such filter.

    Example:

    >>> check_interpolation("lanczos")
    """
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"`interpolation` must be one of {INTERPOLATIONS}. Received: interpolation={interpolation!r}")


@dataclasses.dataclass(frozen=True)
class CropWeights:
    """PIL's integer weights of an axis that is resized and cropped; a row of them adds up to about HALF².

    The weights are split into halves of 11 bits, because float32 holds their sums of pixels exactly.

    Attributes:
        pixels: Slice of the pixels that have a weight.
        high, low: Float32 arrays `(size, pixels)`; the weights are `HALF * high + low`.
    """

    pixels: slice
    high: np.ndarray
    low: np.ndarray


def crop_weights(source, resized, size, interpolation):
    """Computes the weights by which PIL resizes an axis, of the pixels in its central crop alone.

    Args:
        source: Number of pixels of the axis.
        resized: Number of pixels after resizing.
        size: Number of pixels of the crop, at most `resized`.
        interpolation: One of `keras_deit.choices.INTERPOLATIONS`.

    Returns:
        `CropWeights`. Those of small images are kept for the next image of the size.

    Example:

    >>> weights = crop_weights(8, 4, 2, "box")
    >>> weights.pixels, (weights.high / HALF).tolist()
    (slice(2, 6, None), [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]])
    """
    compute = _kept_weights if source * size <= MAX_CACHED_VALUES else _weights
    return compute(source, resized, size, interpolation)


def _weights(source, resized, size, interpolation):
    rows = centre_crop_offset(resized, size) + np.arange(size)
    scale = source / resized
    if interpolation == NEAREST:
        positions = np.cumsum([0.5 * scale, *rows[-1] * [scale]])  # added up as PIL does: the roundings count
        first = positions[rows].astype(int)
        weights = [np.array([HALF**2])] * size
    else:
        support, kernel = FILTERS[interpolation]
        support *= max(scale, 1)
        centres = (rows + 0.5) * scale
        first = np.maximum((centres - support + 0.5).astype(int), 0)
        last = np.minimum((centres + support + 0.5).astype(int), source)
        weights = [
            _row_of_weights(kernel, (np.arange(*ends) + 0.5 - centre) / max(scale, 1))
            for *ends, centre in zip(first, last, centres, strict=True)
        ]
    begin, end = min(first), max(start + len(row) for start, row in zip(first, weights, strict=True))
    matrix = np.zeros((size, end - begin))
    for values, start, row in zip(matrix, first - begin, weights, strict=True):
        values[start : start + len(row)] = row
    high = np.round(matrix / HALF)
    return CropWeights(slice(int(begin), int(end)), high.astype("float32"), (matrix - high * HALF).astype("float32"))


_kept_weights = functools.lru_cache(MAX_CACHED)(_weights)


def _row_of_weights(kernel, distances):
    weights = kernel(distances)
    return np.round(weights / weights.sum() * HALF**2)
