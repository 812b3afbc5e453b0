"""Gradients on every backend."""

import keras


def gradients(function, inputs):
    """Computes the gradients of a function.

    Args:
        function: Function of a list of tensors that returns a scalar tensor.
        inputs: List of tensors.

    Returns:
        List of tensors of the shapes of `inputs`.

    Example:

    >>> (gradient,) = gradients(lambda tensors: keras.ops.sum(tensors[0] ** 2), [keras.ops.ones(2)])
    >>> keras.ops.convert_to_numpy(gradient).tolist()
    [2.0, 2.0]
    """
    return _GRADIENTS[keras.backend.backend()](function, inputs)


def _of_tensorflow(function, inputs):
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        value = function(inputs)
    return tape.gradient(value, inputs)


def _of_jax(function, inputs):
    import jax

    return jax.grad(function)(inputs)


def _of_torch(function, inputs):
    import torch

    with torch.enable_grad():  # within `predict`, there are none
        inputs = [tensor.detach().requires_grad_() for tensor in inputs]
        return list(torch.autograd.grad(function(inputs), inputs))


_GRADIENTS = {"tensorflow": _of_tensorflow, "jax": _of_jax, "torch": _of_torch}
