"""The kernel of bicubic resizing."""

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
