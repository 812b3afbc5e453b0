"""Where a run computes: one device, replicas on TensorFlow, or data parallelism on JAX; and the memory there."""

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Callable

import keras

STRATEGIES = ("none", "mirrored", "data_parallel")


@dataclasses.dataclass(frozen=True)
class Placement:
    """A strategy made ready.

    Attributes:
        num_replicas: Number of devices that share a batch.
        scope: Makes a context manager; all of a run, from building the models to their evaluation, happens within one.
    """

    num_replicas: int
    scope: Callable


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
        return Placement(1, contextlib.nullcontext)
    return _mirrored() if strategy == "mirrored" else _data_parallel()


def check_batch_size(batch_size, num_replicas):
    """Raises a ValueError if the replicas do not divide the global batch."""
    if batch_size % num_replicas:
        nearest = batch_size // num_replicas * num_replicas or num_replicas
        raise ValueError(
            f"The global batch size must be divisible by the number of replicas. Received: batch_size={batch_size}, "
            f"replicas={num_replicas}. Try --batch-size {nearest}."
        )


def peak_memory():
    """Largest memory used so far in bytes: of the GPUs where there are any, else of the process; None if not known."""
    on_gpu = _GPU_PEAKS[keras.backend.backend()]()
    return _process_peak() if on_gpu is None else on_gpu


def _mirrored():
    _check_backend("mirrored", "tensorflow")
    strategy = _mirrored_strategy()
    return Placement(strategy.num_replicas_in_sync, strategy.scope)


@functools.cache
def _mirrored_strategy():
    """The one of this process: a second one would count its collectives from the start, and fail where shapes differ."""
    import tensorflow as tf

    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    devices = gpus or [device.name for device in tf.config.list_logical_devices("CPU")]
    return tf.distribute.MirroredStrategy(devices)


def _data_parallel():
    _check_backend("data_parallel", "jax")
    distribution = keras.distribution.DataParallel()
    return Placement(len(keras.distribution.list_devices()), distribution.scope)


def _check_backend(strategy, needed):
    if keras.backend.backend() != needed:
        raise ValueError(
            f"The strategy {strategy!r} belongs to the {needed} backend, and this is {keras.backend.backend()!r}. Set "
            f"KERAS_BACKEND={needed}; the strategies are: none (every backend), mirrored (tensorflow), data_parallel (jax)."
        )


def _process_peak():
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such module
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kilobytes


def _tensorflow_gpu_peak():
    import tensorflow as tf

    gpus = [f"GPU:{index}" for index, _ in enumerate(tf.config.list_logical_devices("GPU"))]
    return sum(tf.config.experimental.get_memory_info(gpu)["peak"] for gpu in gpus) if gpus else None


def _jax_gpu_peak():
    import jax

    statistics = [device.memory_stats() for device in jax.local_devices() if device.platform != "cpu"]
    return sum(entry["peak_bytes_in_use"] for entry in statistics if entry) if statistics else None


def _torch_gpu_peak():
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


_GPU_PEAKS = {"tensorflow": _tensorflow_gpu_peak, "jax": _jax_gpu_peak, "torch": _torch_gpu_peak}
