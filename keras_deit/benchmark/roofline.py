"""The speed of the device's arithmetic and memory, which bounds the time of each part of a step."""

from keras_deit.benchmark.device import has_gpu
from keras_deit.benchmark.steps import array_sum_step, matrix_product_step
from keras_deit.benchmark.timing import seconds_in_turns

MATRIX_SIZE = {"cpu": 2048, "gpu": 8192}  # rows and columns of the product that counts as the peak
ARRAY_BYTES = {"cpu": 2**28, "gpu": 2**32}  # of the array that is read, much more than a cache holds


def matrix_size():
    """Returns the number of rows and columns of the matrix product whose speed counts as the peak of this device."""
    return MATRIX_SIZE["gpu" if has_gpu() else "cpu"]


def measure_limits(precision, rounds):
    """Times a large matrix product and the sum of a large array, in turns.

    Args:
        precision: `"float32"` or `"bfloat16"`.
        rounds: Number of rounds.

    Returns:
        Two lists with one value per round: floating-point operations per second of the matrix product, and bytes per second
        that the sum reads.
    """
    size, num_bytes = matrix_size(), ARRAY_BYTES["gpu" if has_gpu() else "cpu"]
    steps = {"product": matrix_product_step(precision, size), "sum": array_sum_step(num_bytes)}
    seconds = seconds_in_turns(steps, rounds)
    flops = [2 * size**3 / value for value in seconds["product"]]
    return flops, [num_bytes / value for value in seconds["sum"]]


def least_seconds(part, peak_flops, bandwidth):
    """Computes the shortest time of a part of a step by the roofline model.

    Args:
        part: A `keras_deit.benchmark.costs.Part`.
        peak_flops: Floating-point operations per second.
        bandwidth: Bytes per second.

    Returns:
        Seconds: the time of the operations or the time of the bytes, whichever is longer.

    Example:

    >>> from keras_deit.benchmark.costs import Part
    >>> least_seconds(Part("MLP", flops=8e9, num_bytes=1e9, is_product=True), peak_flops=2e9, bandwidth=1e9)
    4.0

    Reference:
        Williams et al., 2009, Roofline: an insightful visual performance model for multicore architectures
        (doi 10.1145/1498765.1498785).
    """
    return max(part.flops / peak_flops, part.num_bytes / bandwidth)
