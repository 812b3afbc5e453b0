"""Optimiser steps on three variables, and the same steps by NumPy in float64."""

import keras
import numpy as np

RATE, DECAY = 0.01, 0.3
VALUES = {
    "kernel": np.array([[0.5, -1.0], [2.0, 0.25]], "float32"),
    "bias": np.array([0.1, -0.2], "float32"),
    "zeros_kernel": np.zeros((2, 2), "float32"),
}
GRADIENTS = [
    {
        name: np.random.default_rng([step, index]).normal(size=value.shape)
        for index, (name, value) in enumerate(VALUES.items())
    }
    for step in range(3)
]


def variables():
    """Makes three variables of a classification head."""
    with keras.name_scope("class_head"):  # a layer that LayerwiseAdamW knows
        return {name: keras.Variable(value, name=name) for name, value in VALUES.items()}


def trained(optimizer, scaled=lambda gradient: gradient, names=tuple(VALUES)):
    """Values of the variables after three steps on those that are named. The bias has no weight decay."""
    values = variables()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(list(values.values()))
    for gradients in GRADIENTS:
        tensors = [keras.ops.convert_to_tensor(scaled(gradients[name]).astype("float32")) for name in names]
        optimizer.apply(tensors, [values[name] for name in names])
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in values.items()}


def assert_trained_as(make, step):
    """`step(value, gradient, state, number, decay)` is the formula for one variable in float64; `make` an optimiser.

    Steps on some of the variables, in another order than that of `build`, leave the others as they are.
    """
    _assert_trained_as(make(), step, tuple(VALUES))
    _assert_trained_as(make(), step, ("zeros_kernel", "kernel"))


def _assert_trained_as(optimizer, step, names):
    received = trained(optimizer, names=names)
    for name, value in VALUES.items():
        if name not in names:
            np.testing.assert_array_equal(received[name], value)
            continue
        value, state = value.astype("float64"), {}
        for number, gradients in enumerate(GRADIENTS, start=1):
            value = step(value, gradients[name], state, number, 0.0 if name == "bias" else DECAY)
        assert np.abs(value - VALUES[name]).max() > 1e-3
        np.testing.assert_allclose(received[name], value, atol=2e-6, err_msg=name)


def adam_direction(gradient, state, number, epsilon):
    """Direction of step `number` of Adam, as in the paper; `state` keeps the moments."""
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * gradient
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * gradient**2
    return state["m"] / (1 - 0.9**number) / (np.sqrt(state["v"] / (1 - 0.999**number)) + epsilon)
