"""The kernels of resizing, and the weights of a resized and cropped axis."""

import dataclasses
import functools

import numpy as np
from keras import ops

from keras_deit.choices import INTERPOLATIONS
from keras_deit.imaging.sizes import centre_crop_offset

HALF = 2**11  # PIL rounds its weights to multiples of 1 / HALF²
MAX_CACHED, MAX_CACHED_VALUES = 32, 2**18  # with 8 bytes for each value, the cache takes 64 MiB at most


def cubic_kernel(distances, a, library=np):
    """Computes the bicubic kernel's weights of pixels by their distances.

    Args:
        distances: Array of distances in pixels, not negative.
        a: Slope of the kernel at distance 1: -0.5 in PIL, -0.75 in PyTorch.
        library: `numpy`, or `keras.ops` for a tensor.

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
    return library.where(distances < 1, near, library.where(distances < 2, far, 0.0))


def box_kernel(distances, library=np):
    """Averages the pixels whose centres lie in the new pixel: 1 for distances above -0.5 and at most 0.5, otherwise 0."""
    return library.where((distances > -0.5) & (distances <= 0.5), library.ones_like(distances), 0.0)


def triangle_kernel(distances, library=np):
    """Bilinear kernel: falls linearly from 1 at distance 0 to 0 at distance 1."""
    return library.maximum(1 - library.abs(distances), 0.0)


def hamming_kernel(distances, library=np):
    """Sinc function under a Hamming window: 0 from distance 1 on."""
    window = 0.54 + 0.46 * library.cos(np.pi * distances)
    return library.where(library.abs(distances) < 1, _sinc(distances, library) * window, 0.0)


def lanczos_kernel(distances, library=np):
    """Sinc function under its own main lobe, stretched to a distance of 3 pixels."""
    lobes = _sinc(distances, library) * _sinc(distances / 3, library)
    return library.where(library.abs(distances) < 3, lobes, 0.0)


def _sinc(distances, library):
    angles = np.pi * library.where(distances == 0, 1e-20, distances)
    return library.sin(angles) / angles


def pillow_cubic_kernel(distances, library=np):
    """Bicubic kernel of Pillow: 0 from distance 2 on."""
    return cubic_kernel(library.abs(distances), PILLOW_SLOPE, library)


PILLOW_SLOPE = -0.5  # of Pillow's bicubic kernel
# Pillow's filters: support in pixels, and kernel of the signed distance. The filter `nearest` has no kernel.
FILTERS = {
    "box": (0.5, box_kernel),
    "bilinear": (1.0, triangle_kernel),
    "hamming": (1.0, hamming_kernel),
    "bicubic": (2.0, pillow_cubic_kernel),
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


def traced_crop_weights(source, resized, size, interpolation):
    """Computes what `crop_weights` does within a graph of TensorFlow, for an image whose size only the call tells.

    Args:
        source, resized: As for `crop_weights`, float64 tensors; `resized` may also be a number.
        size, interpolation: As for `crop_weights`.

    Returns:
        `CropWeights` of tensors.
    """
    return _weights(source, ops.cast(resized, "float64"), size, interpolation, library=ops)


def _weights(source, resized, size, interpolation, library=np):
    rows = centre_crop_offset(resized, size, library) + np.arange(size)
    scale = source / resized
    stretch = library.maximum(scale, 1.0)
    if interpolation == NEAREST:
        steps = library.where(library.arange(rows[-1] + 1, dtype="float64") == 0, 0.5 * scale, scale)
        centres = library.take(library.cumsum(steps), _cast(rows, "int32", library))  # PIL adds up: the roundings count
        first = library.floor(centres)
        last, kernel = first + 1, _constant_kernel
    else:
        support, kernel = FILTERS[interpolation]
        centres = (rows + 0.5) * scale
        first = library.maximum(library.floor(centres - support * stretch + 0.5), 0.0)
        last = library.minimum(library.floor(centres + support * stretch + 0.5), source)
    taps = library.arange(library.max(last - first), dtype="float64")
    pixels = first[:, None] + taps
    weights = kernel((pixels + 0.5 - centres[:, None]) / stretch, library)
    weights = library.where(pixels < last[:, None], weights, 0.0)
    weights = library.round(weights / library.sum(weights, axis=1, keepdims=True) * HALF**2)
    return _crop_weights(weights, taps, first, last, library)


def _constant_kernel(distances, library):
    return library.ones_like(distances)


def _crop_weights(weights, taps, first, last, library):
    """Spreads the weights of each row over all pixels that have a weight in any row."""
    begin, end = library.min(first), library.max(last)
    columns = library.arange(begin, end, dtype="float64") - first[:, None]
    columns_of_row = library.clip(columns, taps[0], taps[-1])
    matrix = library.take_along_axis(weights, _cast(columns_of_row, "int32", library), axis=1)
    matrix = library.where(columns == columns_of_row, matrix, 0.0)
    high = library.round(matrix / HALF)
    low = matrix - high * HALF
    begin, end = (int(side) if library is np else ops.cast(side, "int32") for side in (begin, end))
    return CropWeights(slice(begin, end), _cast(high, "float32", library), _cast(low, "float32", library))


def _cast(values, dtype, library):
    return values.astype(dtype) if library is np else ops.cast(values, dtype)


_kept_weights = functools.lru_cache(MAX_CACHED)(_weights)
