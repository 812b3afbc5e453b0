"""The kernels of resizing."""

import numpy as np


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
INTERPOLATIONS = (NEAREST, *FILTERS)
