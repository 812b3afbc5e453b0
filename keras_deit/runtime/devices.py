"""The memory that a process has used."""

import sys

import keras


def peak_memory():
    """Returns the largest memory used so far in bytes: of the GPUs if there are any, otherwise of the process.

    Returns:
        Integer, or None if the system does not tell.
    """
    on_gpu = _GPU_PEAKS[keras.backend.backend()]()
    return _process_peak() if on_gpu is None else on_gpu


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
