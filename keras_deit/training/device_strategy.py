"""The devices of a run: one device, replicas on TensorFlow, or data parallelism on JAX."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable

import keras

from keras_deit.choices import STRATEGIES


@dataclasses.dataclass(frozen=True)
class Strategy:
    """A strategy that is set up.

    Attributes:
        num_replicas: Number of devices that share a batch.
        scope: Function that returns a context manager. A run builds, trains and evaluates its models within one.
    """

    num_replicas: int
    scope: Callable


def setup_strategy(name):
    """Sets up a strategy.

    Args:
        name: `"none"`; `"mirrored"`: TensorFlow's MirroredStrategy over all GPUs, or over all logical CPU devices if
            there is no GPU; or `"data_parallel"`: JAX's `keras.distribution.DataParallel` over all devices.

    Returns:
        A `Strategy`.

    Raises:
        ValueError: If there is no such strategy, or it belongs to another backend.
    """
    if name not in STRATEGIES:
        raise ValueError(f"`strategy` must be one of {STRATEGIES}. Received: strategy={name!r}")
    if name == "none":
        return Strategy(1, contextlib.nullcontext)
    return _mirrored() if name == "mirrored" else _data_parallel()


def check_batch_size(batch_size, num_replicas):
    """Checks that the replicas divide the global batch.

    Raises:
        ValueError: If they do not; the message names a batch size that they divide.
    """
    if batch_size % num_replicas:
        nearest = batch_size // num_replicas * num_replicas or num_replicas
        raise ValueError(
            f"The global batch size must be divisible by the number of replicas. Received: batch_size={batch_size}, "
            f"replicas={num_replicas}. Try --batch-size {nearest}."
        )


def _mirrored():
    _check_backend("mirrored", "tensorflow")
    strategy = _mirrored_strategy()
    return Strategy(strategy.num_replicas_in_sync, strategy.scope)


@functools.cache
def _mirrored_strategy():
    """The only MirroredStrategy of this process: a second one would reuse keys of collectives, and fail if shapes differ."""
    import tensorflow as tf

    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    devices = gpus or [device.name for device in tf.config.list_logical_devices("CPU")]
    return tf.distribute.MirroredStrategy(devices)


def _data_parallel():
    _check_backend("data_parallel", "jax")
    distribution = keras.distribution.DataParallel()
    return Strategy(len(keras.distribution.list_devices()), distribution.scope)


def _check_backend(strategy, needed):
    if keras.backend.backend() != needed:
        raise ValueError(
            f"The strategy {strategy!r} needs the backend {needed!r}. Received: backend={keras.backend.backend()!r}. Set "
            f"KERAS_BACKEND={needed}; the strategies are: none (every backend), mirrored (tensorflow), data_parallel (jax)."
        )
