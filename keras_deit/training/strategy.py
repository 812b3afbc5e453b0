"""Where a run computes: one device, replicas on TensorFlow, or data parallelism on JAX."""

import contextlib
import dataclasses
from contextlib import AbstractContextManager

import keras

STRATEGIES = ("none", "mirrored", "data_parallel")


@dataclasses.dataclass(frozen=True)
class Placement:
    """A strategy made ready.

    Attributes:
        num_replicas: Number of devices that share a batch.
        scope: Context manager within which everything is built.
    """

    num_replicas: int
    scope: AbstractContextManager


def place(strategy):
    """Makes a strategy ready.

    Args:
        strategy: `"none"`; `"mirrored"`, TensorFlow's MirroredStrategy over all GPUs (or all logical CPU devices); or
            `"data_parallel"`, JAX's `keras.distribution.DataParallel` over all devices.

    Returns:
        A `Placement`.

    Raises:
        ValueError: If the strategy is unknown or belongs to another backend.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"`strategy` must be one of {STRATEGIES}. Received: strategy={strategy!r}")
    if strategy == "none":
        return Placement(1, contextlib.nullcontext())
    return _mirrored() if strategy == "mirrored" else _data_parallel()


def check_batch_size(batch_size, num_replicas):
    """Raises a ValueError if the replicas do not divide the global batch."""
    if batch_size % num_replicas:
        nearest = batch_size // num_replicas * num_replicas or num_replicas
        raise ValueError(
            f"The global batch size must be divisible by the number of replicas. Received: batch_size={batch_size}, "
            f"replicas={num_replicas}. Try --batch-size {nearest}."
        )


def _mirrored():
    _check_backend("mirrored", "tensorflow")
    import tensorflow as tf

    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    devices = gpus or [device.name for device in tf.config.list_logical_devices("CPU")]
    strategy = tf.distribute.MirroredStrategy(devices)
    return Placement(strategy.num_replicas_in_sync, strategy.scope())


def _data_parallel():
    _check_backend("data_parallel", "jax")
    distribution = keras.distribution.DataParallel()
    return Placement(len(keras.distribution.list_devices()), distribution.scope())


def _check_backend(strategy, needed):
    if keras.backend.backend() != needed:
        raise ValueError(
            f"The strategy {strategy!r} belongs to the {needed} backend, and this is {keras.backend.backend()!r}. Set "
            f"KERAS_BACKEND={needed}; the strategies are: none (every backend), mirrored (tensorflow), data_parallel (jax)."
        )
