"""The check that a model gets normalised images."""

import keras
import numpy as np

from keras_deit.imaging.pixel_range import check_normalized
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.runtime.endless import check_steps
from keras_deit.runtime.first_batch import FirstBatchCheck


class CheckedImages:
    """Mixin for a `keras.Model` that refuses raw pixels, in the first images of whatever it is given."""

    def __call__(self, images, *args, **kwargs):
        """Calls the model, see `keras.Model.__call__`, after checking the value range of NumPy arrays."""
        if all(isinstance(array, np.ndarray) for array in keras.tree.flatten(images)):
            self._check_images(images)
        return super().__call__(images, *args, **kwargs)

    def fit(self, x=None, *args, validation_data=None, **kwargs):
        """Trains the model, see `keras.Model.fit`.

        Raises:
            ValueError: If the first images of the data are raw pixels or not finite, or the data have no end and the number
                of steps is not given.
        """
        check_steps("steps_per_epoch", kwargs.get("steps_per_epoch"), x)
        check_steps("validation_steps", kwargs.get("validation_steps"), validation_data)
        with FirstBatchCheck(self._check_images) as first:
            if isinstance(validation_data, (tuple, list)):
                first.of(validation_data[0])
            else:
                validation_data = first.of(validation_data)
            return super().fit(first.of(x), *args, validation_data=validation_data, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        """Evaluates the model, see `keras.Model.evaluate`, after the same check as `fit`."""
        is_within_fit = isinstance(kwargs.get("callbacks"), keras.callbacks.CallbackList)
        if is_within_fit:  # `fit` has checked the validation data
            return super().evaluate(x, *args, **kwargs)
        check_steps("steps", kwargs.get("steps"), x)
        with FirstBatchCheck(self._check_images) as first:
            return super().evaluate(first.of(x), *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        """Returns the outputs for data, see `keras.Model.predict`, after the same check as `fit`."""
        check_steps("steps", kwargs.get("steps"), x)
        with FirstBatchCheck(self._check_images) as first:
            return super().predict(first.of(x), *args, **kwargs)

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

    def _check_images(self, inputs):
        """Checks the images among the inputs, by the normalisation that is kept with the model or else ImageNet's."""
        record = getattr(self, "preprocessing", None) or Preprocessing()
        for array in keras.tree.flatten(inputs):
            if len(getattr(array, "shape", ())) == 4:
                check_normalized(array, record.mean, record.std)
