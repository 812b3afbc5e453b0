"""Batches that a thread of this process makes."""

import functools

import keras
import numpy as np
import pytest

from keras_deit.data import ImageData
from keras_deit.data.pipeline.pillow_batches import TrainingBatches
from keras_deit.data.pipeline.python_pipeline import for_fit, training_stream
from keras_deit.data.pipeline.sampling_plan import SamplingPlan
from tests.data.images import noise
from tests.data.pipeline.first_batches import assert_equal, take


class Recording(TrainingBatches):
    """Batches that record the positions that were asked for."""

    def __init__(self):
        data = ImageData("noise", noise(10, 4, 4, 3), np.arange(10) % 3, ("a", "b", "c"))
        super().__init__(data, SamplingPlan(10, 5, (4, 4)), (0.5,) * 3, (0.5,) * 3, 1.0)
        self.positions = []

    def batch(self, epoch, index):
        self.positions.append((epoch, index))
        return super().batch(epoch, index)


@pytest.mark.backend_independent
def test_batches_come_in_order_from_a_position_on_and_one_is_made_ahead():
    batches = Recording()
    received = take(training_stream(batches, epoch=2, batch=1), 3)
    assert batches.positions == [(2, 1), (3, 0), (3, 1), (4, 0)]
    assert_equal(received, [batches.batch(*position) for position in ((2, 1), (3, 0), (3, 1))])


@pytest.mark.backend_independent
def test_an_error_reaches_the_consumer():
    class Failing(Recording):
        def batch(self, epoch, index):
            if index:
                raise ValueError("the image cannot be read")
            return super().batch(epoch, index)

    stream = training_stream(Failing())
    next(stream)
    with pytest.raises(ValueError, match="the image cannot be read"):
        next(stream)


def test_fit_receives_the_epochs_in_order():
    batches = Recording()
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    stream = for_fit(functools.partial(training_stream, batches, epoch=2), 3, (4, 4))
    model.fit(stream, epochs=5, initial_epoch=2, steps_per_epoch=2, shuffle=False, verbose=0)
    assert batches.positions[:6] == [(epoch, index) for epoch in (2, 3, 4) for index in (0, 1)]  # others are made ahead
