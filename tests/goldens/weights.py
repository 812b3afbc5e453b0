"""Weights and images drawn from seeds that depend on their names, so that the goldens need not store them.

NumPy guarantees that the streams of `RandomState` never change; it gives no such guarantee for `default_rng`. The values
are uniform with variance 1 before scaling, large enough that every weight affects the result.
"""

import zlib

import numpy as np


def noise(name, shape):
    """Draws an array with mean 0 and variance 1 from a seed that depends on `name` alone."""
    generator = np.random.RandomState(zlib.crc32(name.encode()))
    return generator.uniform(-(3**0.5), 3**0.5, shape).astype("float32")


def draw(path, shape):
    """Draws a weight from its path in the model, such as `"block_1/attention/qkv/kernel"`."""
    values = noise(path, shape)
    kind = path.rsplit("/", 1)[-1]
    if kind in ("gamma", "moving_variance"):
        return 1 + values / 10
    if kind == "kernel":
        return values / np.sqrt(np.prod(shape[:-1])).astype("float32")  # keeps the variance
    if kind in ("class_token", "distillation_token", "positions"):
        return values / 2
    return values / 10  # biases and betas


def fill(layer):
    """Draws every weight of a built layer or model, and returns the layer or model."""
    for variable in layer.weights:
        variable.assign(draw(variable.path, tuple(variable.shape)))
    return layer
