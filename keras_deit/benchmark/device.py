"""The device that the active backend computes on."""

import keras

from keras_deit.runtime.cores import usable_cores


def device_name():
    """Names the device of the active backend.

    Returns:
        The model name of the first GPU, or for example `"cpu (2 cores)"`.
    """
    find_gpu = {"tensorflow": _tensorflow_gpu, "jax": _jax_gpu, "torch": _torch_gpu}[keras.backend.backend()]
    cores = usable_cores()
    return find_gpu() or f"cpu ({cores} core{'s' if cores > 1 else ''})"


def has_gpu():
    """Returns whether the active backend computes on a GPU."""
    return not device_name().startswith("cpu")


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
