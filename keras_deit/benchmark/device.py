"""The device that the active backend computes on."""

import keras

from keras_deit.runtime.cores import usable_cores

PEAKS = {
    ("H200", "bfloat16"): 989.5e12
}  # FLOP/s of dense matrix products, by device and precision; NVIDIA's data sheet


def device_name():
    """Names the device of the active backend.

    Returns:
        The model name of the first GPU, or `"cpu (N cores)"`.
    """
    find_gpu = {"tensorflow": _tensorflow_gpu, "jax": _jax_gpu, "torch": _torch_gpu}[keras.backend.backend()]
    return find_gpu() or f"cpu ({usable_cores()} cores)"


def has_gpu():
    """Returns whether the active backend computes on a GPU."""
    return not device_name().startswith("cpu")


def peak_flops(device, precision):
    """Looks up the peak performance of a device.

    Args:
        device: Name of the device, as returned by `device_name`.
        precision: `"float32"` or `"bfloat16"`.

    Returns:
        Floating-point operations per second, or None if the table has no entry.

    Example:

    >>> peak_flops("NVIDIA H200", "bfloat16")
    989500000000000.0
    """
    for (name, known_precision), peak in PEAKS.items():
        if name in device and known_precision == precision:
            return peak
    return None


def _tensorflow_gpu():
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else None


def _jax_gpu():
    import jax

    device = jax.devices()[0]
    return None if device.platform == "cpu" else device.device_kind


def _torch_gpu():
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
