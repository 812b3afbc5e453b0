"""The moving average of the weights, beside the weights."""

import contextlib

import keras


class KeepWeights(keras.callbacks.Callback):
    """Leaves a model with its trained weights after `fit`, where Keras would leave it with their moving average."""

    def on_epoch_end(self, epoch, logs=None):
        self.trained = _values(self.model)

    def on_train_end(self, logs=None):
        _assign(self.model, self.trained)


@contextlib.contextmanager
def averaged(model):
    """Puts the moving average in the place of the trained weights for a while.

    Args:
        model: A compiled model whose optimiser keeps the average (`use_ema=True`).
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
