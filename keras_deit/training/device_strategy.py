"""The devices of a run: one device, replicas on TensorFlow, or data parallelism on JAX."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable

import keras

from keras_deit.choices import STRATEGIES
from keras_deit.runtime.processes import num_processes

OF_BACKEND = {"tensorflow": "mirrored", "jax": "data_parallel"}


@dataclasses.dataclass(frozen=True)
class Strategy:
    """A strategy that is set up.

    Attributes:
        name: `"none"`, `"mirrored"` or `"data_parallel"`.
        num_replicas: Number of devices that share a batch.
        scope: Function that returns a context manager. A run builds, trains and evaluates its models within one.
        note: A sentence about devices that are not used, or an empty string.
    """

    name: str
    num_replicas: int
    scope: Callable
    note: str = ""

    def describe(self, batch_size):
        """Describes the strategy in one line.

        Args:
            batch_size: Number of images in a batch, over all replicas.

        Returns:
            Text.

        Example:

        >>> Strategy("mirrored", 8, contextlib.nullcontext).describe(1024)
        'Strategy: mirrored, 8 replicas; global batch 1,024, local batch 128.'
        """
        replicas = "1 replica" if self.num_replicas == 1 else f"{self.num_replicas} replicas"
        if num_processes() > 1:
            replicas += f" in {num_processes()} processes"
        local = batch_size // self.num_replicas
        line = f"Strategy: {self.name}, {replicas}; global batch {batch_size:,}, local batch {local:,}."
        return f"{line} {self.note}".strip()


def setup_strategy(name, batch_size, num_parts=1):
    """Sets up a strategy.

    Args:
        name: `"none"`: one device. `"mirrored"`: TensorFlow's MirroredStrategy over all GPUs, or over all logical CPU
            devices if there is no GPU. `"data_parallel"`: JAX's `keras.distribution.DataParallel` over all devices.
            `"auto"`: the strategy of the backend if there are several devices, over the largest number of them that divides
            the batch; otherwise one device. Several processes use all of their devices.
        batch_size: Number of images in a batch, over all replicas.
        num_parts: Number of parts that each replica computes one after the other.

    Returns:
        A `Strategy`.

    Raises:
        ValueError: If there is no such strategy, or it belongs to another backend.
    """
    if name not in STRATEGIES:
        raise ValueError(f"`strategy` must be one of {STRATEGIES}. Received: strategy={name!r}")
    if name == "auto":
        return _automatic(batch_size, num_parts)
    if name == "none" and num_processes() == 1:
        return Strategy("none", 1, contextlib.nullcontext)
    if name == "none":
        raise ValueError("Several processes need the strategy 'auto' or 'data_parallel'. Received: strategy='none'")
    _check_backend(name)
    return _set_up(name, count_devices())


def has_mirrored_scope():
    """Returns whether this code runs within the scope of a strategy of TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.distribute.has_strategy()


def on_every_replica(condition):
    """Whether a condition holds on every replica of TensorFlow; elsewhere a step has one condition for all devices.

    Args:
        condition: Boolean scalar tensor of this replica.

    Returns:
        Boolean scalar tensor, the same on every replica.
    """
    if not has_mirrored_scope():
        return condition
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(tf.logical_not(condition), "float32")) == 0


def check_batch_size(batch_size, num_replicas, num_parts=1):
    """Checks that the global batch can be divided among the replicas, and the share of each into parts.

    Args:
        batch_size: Number of images in a batch, over all replicas.
        num_replicas: Number of replicas.
        num_parts: Number of parts that each replica computes one after the other.

    Raises:
        ValueError: If it cannot; the message names a batch size that can.
    """
    divisor = num_replicas * num_parts
    if batch_size % divisor == 0:
        return
    nearest = batch_size // divisor * divisor or divisor
    by, received = "the number of replicas", f"batch_size={batch_size}, replicas={num_replicas}"
    if num_parts > 1:
        by, received = f"{by} times `accumulate`", f"{received}, accumulate={num_parts}"
    raise ValueError(
        f"The global batch size must be divisible by {by}. Received: {received}. Try --batch-size {nearest}."
    )


def count_devices():
    """Counts the devices of the backend that could share a batch: GPUs, or the logical CPU devices if there is no GPU."""
    return _DEVICE_COUNTS[keras.backend.backend()]()


def _automatic(batch_size, num_parts):
    devices = count_devices()
    name = OF_BACKEND.get(keras.backend.backend(), "none")
    if num_processes() > 1:  # of which each uses all of its devices
        return _set_up(name, devices)
    replicas = next((number for number in range(devices, 0, -1) if batch_size % (number * num_parts) == 0), 1)
    note = ""
    if name == "none" and devices > 1:
        replicas = 1
        note = (
            f"PyTorch trains on one of the {devices} GPUs here; KERAS_BACKEND=jax or tensorflow would use all of them."
        )
    elif replicas < devices:
        note = (
            f"There are {devices} devices, and {replicas} is the largest number of them that divides the batch: a "
            f"--batch-size that is a multiple of {devices} uses all."
        )
    strategy = Strategy("none", 1, contextlib.nullcontext) if replicas == 1 else _set_up(name, replicas)
    return dataclasses.replace(strategy, note=note)


def _set_up(name, num_devices):
    return _mirrored(num_devices) if name == "mirrored" else _data_parallel(num_devices)


def _mirrored(num_devices):
    strategy = _mirrored_strategy(num_devices)
    return Strategy("mirrored", strategy.num_replicas_in_sync, strategy.scope)


@functools.cache
def _mirrored_strategy(num_devices):
    """The only MirroredStrategy of this process: a second one would reuse keys of collectives, and fail if shapes differ."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(_tensorflow_devices()[:num_devices])


def _data_parallel(num_devices):
    devices = keras.distribution.list_devices()[:num_devices]
    distribution = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
    return Strategy("data_parallel", num_devices, distribution.scope)


def _tensorflow_devices():
    import tensorflow as tf

    kinds = ([device.name for device in tf.config.list_logical_devices(kind)] for kind in ("GPU", "CPU"))
    return next(filter(None, kinds))


def _count_torch_devices():
    import torch

    return max(1, torch.cuda.device_count())


_DEVICE_COUNTS = {
    "tensorflow": lambda: len(_tensorflow_devices()),
    "jax": lambda: len(keras.distribution.list_devices()),
    "torch": _count_torch_devices,
}


def _check_backend(strategy):
    needed = next(backend for backend, name in OF_BACKEND.items() if name == strategy)
    if keras.backend.backend() != needed:
        raise ValueError(
            f"The strategy {strategy!r} needs the backend {needed!r}. Received: backend={keras.backend.backend()!r}. Set "
            f"KERAS_BACKEND={needed}; the strategies are: none (every backend), mirrored (tensorflow), data_parallel (jax), "
            "auto (the strategy of the backend, if there are several devices)."
        )
