"""The check that a model gets normalised images."""

import inspect

import keras
import numpy as np

from keras_deit.imaging.pixel_range import check_normalized
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.runtime.endless import check_steps
from keras_deit.runtime.first_batch import FirstBatchCheck
from keras_deit.runtime.restored_variables import RestoredVariables


class CheckedImages(RestoredVariables):
    """Mixin for a `keras.Model` that refuses raw pixels, in the first images of whatever it is given."""

    def __call__(self, images, *args, **kwargs):
        """Calls the model, see `keras.Model.__call__`, after checking the value range of NumPy arrays."""
        if all(isinstance(array, np.ndarray) for array in keras.tree.flatten(images)):
            self._check_images(images)
        return super().__call__(images, *args, **kwargs)

    def fit(self, *args, **kwargs):
        """Trains the model, see `keras.Model.fit`.

        Args:
            *args: As for `keras.Model.fit`.
            **kwargs: As for `keras.Model.fit`.

        Raises:
            ValueError: If the first images of the data are raw pixels or not finite, or the data have no end and the number
                of steps is not given.
        """
        call = _bind(super().fit, args, kwargs)
        given = call.arguments
        validation_data = given.get("validation_data")
        check_steps("steps_per_epoch", given.get("steps_per_epoch"), given.get("x"))
        check_steps("validation_steps", given.get("validation_steps"), validation_data)
        with FirstBatchCheck(self._check_images) as first:
            if isinstance(validation_data, (tuple, list)):
                first.of(validation_data[0])
            else:
                given["validation_data"] = first.of(validation_data)
            given["x"] = first.of(given.get("x"))
            return super().fit(*call.args, **call.kwargs)

    def evaluate(self, *args, **kwargs):
        """Evaluates the model, see `keras.Model.evaluate`, after the same check as `fit`."""
        call = _bind(super().evaluate, args, kwargs)
        is_within_fit = isinstance(call.arguments.get("callbacks"), keras.callbacks.CallbackList)
        if is_within_fit:  # `fit` has checked the validation data
            return super().evaluate(*args, **kwargs)
        return self._checked(super().evaluate, call)

    def predict(self, *args, **kwargs):
        """Returns the outputs for data, see `keras.Model.predict`, after the same check as `fit`."""
        return self._checked(super().predict, _bind(super().predict, args, kwargs))

    def train_on_batch(self, x, *args, **kwargs):
        """Trains on a batch, see `keras.Model.train_on_batch`, after the same check as `fit`."""
        self._check_images(x)
        return super().train_on_batch(x, *args, **kwargs)

    def test_on_batch(self, x, *args, **kwargs):
        """Evaluates a batch, see `keras.Model.test_on_batch`, after the same check as `fit`."""
        self._check_images(x)
        return super().test_on_batch(x, *args, **kwargs)

    def predict_on_batch(self, x):
        """Returns the outputs for a batch, see `keras.Model.predict_on_batch`, after the same check as `fit`."""
        self._check_images(x)
        return super().predict_on_batch(x)

    def _checked(self, method, call):
        given = call.arguments
        check_steps("steps", given.get("steps"), given.get("x"))
        with FirstBatchCheck(self._check_images) as first:
            given["x"] = first.of(given.get("x"))
            return method(*call.args, **call.kwargs)

    def _check_images(self, inputs):
        """Checks the images among the inputs, by the normalisation that is kept with the model or else ImageNet's."""
        record = getattr(self, "preprocessing", None) or Preprocessing()
        for array in keras.tree.flatten(inputs):
            if len(getattr(array, "shape", ())) == 4:
                check_normalized(array, record.mean, record.std)


def _bind(method, args, kwargs):
    """The arguments of a call of one of Keras's methods by name, because Keras takes them by position too."""
    call = inspect.signature(method).bind(*args, **kwargs)
    call.apply_defaults()
    return call
