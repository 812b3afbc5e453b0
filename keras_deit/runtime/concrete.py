"""The values of arrays and tensors, where they have any."""

import sys

import keras
import numpy as np


def concrete_values(array):
    """Copies the values of an array or a tensor of any framework to NumPy.

    Args:
        array: NumPy array, or a tensor of TensorFlow, JAX or PyTorch on any device.

    Returns:
        NumPy array; None for a symbolic tensor, which has no values: one of a model or a function that is being built or
        traced, one on PyTorch's device `meta`, or an array of JAX of which other machines hold parts.

    Raises:
        Exception: What the framework raises if the values cannot be copied, such as an error of the device.

    Example:

    >>> concrete_values(keras.ops.ones(2)).tolist(), concrete_values(keras.Input((2,)))
    ([1.0, 1.0], None)
    """
    if isinstance(array, np.ndarray):
        return array
    if is_symbolic(array):
        return None
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        array = array.detach().cpu()  # on the other backends, Keras leaves this to the caller
    return keras.ops.convert_to_numpy(array)


def is_symbolic(array):
    """Tells whether an array or a tensor of any framework has no values here, see `concrete_values`."""
    tf, jax, torch = map(sys.modules.get, ("tensorflow", "jax", "torch"))
    if isinstance(array, keras.KerasTensor) or (tf is not None and tf.is_symbolic_tensor(array)):
        return True
    if torch is not None and (_is_traced_by(torch) or (isinstance(array, torch.Tensor) and _is_without_memory(array))):
        return True
    return jax is not None and (
        isinstance(array, jax.core.Tracer) or (isinstance(array, jax.Array) and not array.is_fully_addressable)
    )


def _is_traced_by(torch):
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def _is_without_memory(tensor):
    try:
        tensor.data_ptr()
    except RuntimeError:  # of tensors within torch.vmap and the like
        return True
    return tensor.is_meta
