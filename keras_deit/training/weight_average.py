"""Evaluating the moving average of the weights while the trained weights stay in the model."""

import contextlib

import keras


class KeepWeights(keras.callbacks.Callback):
    """Keeps the trained weights in a model after `fit`; Keras would replace them by their moving average."""

    def on_epoch_end(self, epoch, logs=None):
        self.trained = _values(self.model)

    def on_train_end(self, logs=None):
        _assign(self.model, self.trained)


@contextlib.contextmanager
def averaged(model):
    """Replaces the trained weights by their moving average within the context.

    Args:
        model: Compiled model whose optimiser computes the average (`use_ema=True`).
    """
    trained = _values(model)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        _assign(model, trained)


def _values(model):
    return [keras.ops.convert_to_numpy(variable).copy() for variable in model.trainable_variables]


def _assign(model, values):
    for variable, value in zip(model.trainable_variables, values, strict=True):
        variable.assign(value)
