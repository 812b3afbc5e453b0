"""The moving average of the weights, beside the weights."""

import contextlib

import keras


@contextlib.contextmanager
def averaged(model):
    """Puts the moving average in the place of the trained weights for a while.

    Args:
        model: A compiled model whose optimiser keeps the average (`use_ema=True`).
    """
    variables = model.trainable_variables
    raw = [keras.ops.convert_to_numpy(variable).copy() for variable in variables]
    model.optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, raw, strict=True):
            variable.assign(value)
