"""How far a run has been trained."""

import keras

from keras_deit.training.position import Position
from tests.training.small_fit import fit


def test_the_position_is_the_epoch_and_the_number_of_steps_taken():
    position, seen = Position(steps_per_epoch=4), []

    class Record(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((position.epoch, position.step))

        def on_test_begin(self, logs=None):
            assert position.is_whole

    fit([position, Record()], epochs=2)
    assert seen == [(epoch, step) for epoch in (0, 1) for step in (1, 2, 3, 4)]
    assert position.total_steps == 8


def test_a_position_within_an_epoch_goes_on_from_its_step():
    position = Position(steps_per_epoch=10, epoch=2, step=6)
    assert position.total_steps == 26
    fit([position], epochs=3, initial_epoch=2)  # four steps, the rest of the epoch
    assert (position.epoch, position.step, position.is_whole) == (2, 10, True)
