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
        traced, or one on PyTorch's device `meta`.

    Example:

    >>> concrete_values(keras.ops.ones(2)).tolist(), concrete_values(keras.Input((2,)))
    ([1.0, 1.0], None)
    """
    if isinstance(array, np.ndarray):
        return array
    if isinstance(array, keras.KerasTensor) or _is_traced_by_torch():
        return None
    try:
        return keras.ops.convert_to_numpy(array)
    except (TypeError, NotImplementedError, RuntimeError):  # what the frameworks raise for symbolic tensors
        return None


def _is_traced_by_torch():
    torch = sys.modules.get("torch")
    return torch is not None and (torch.compiler.is_compiling() or torch.jit.is_tracing())
