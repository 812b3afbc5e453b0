"""The memory that a process has used, and TensorFlow beside another backend."""

import contextlib
import pathlib
import re
import sys

import keras

from keras_deit.runtime.optional import require


def import_tensorflow(purpose, extra="tensorflow"):
    """Imports TensorFlow; beside another backend, the GPUs are hidden from it.

    TensorFlow would reserve all the memory of the GPUs with its first tensor, and the backend would find none.

    Args:
        purpose, extra: See `keras_deit.runtime.optional.require`.

    Returns:
        The module.

    Raises:
        ImportError: If TensorFlow is not installed.
    """
    tf = require("tensorflow", extra=extra, purpose=purpose)
    if keras.backend.backend() != "tensorflow":
        with contextlib.suppress(
            RuntimeError
        ):  # the program has used TensorFlow before, so the memory is reserved already
            tf.config.set_visible_devices([], "GPU")
    return tf


def peak_memory():
    """Returns the largest memory used so far in bytes: of the GPUs if there are any, otherwise of the process.

    Returns:
        Integer, or None if the system does not tell.
    """
    on_gpu = gpu_peak_memory()
    return _process_peak() if on_gpu is None else on_gpu


def gpu_peak_memory():
    """Returns the largest memory of the GPUs used so far in bytes; None if the backend has no GPU."""
    return _GPU_PEAKS[keras.backend.backend()]()


def _process_peak():
    with contextlib.suppress(OSError):  # of Linux, whose `getrusage` counts the memory of the parent process in
        status = pathlib.Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such module
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, other systems kilobytes


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
