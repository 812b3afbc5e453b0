"""Writing checkpoints during training."""

import keras
import numpy as np
import pytest

from keras_deit.runtime.stop_signals import StopSignals
from keras_deit.training.checkpoint import Checkpoints, restore_state, state_of
from keras_deit.training.checkpoint_callback import CheckpointCallback, StoppedError
from keras_deit.training.checkpoint_interval import CheckpointInterval
from keras_deit.training.log import TrainingLog
from keras_deit.training.position import Position

STEPS, EPOCHS = 4, 3


def make_model(seed=0):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.AdamW(0.1), "mse", weighted_metrics=["mae"])
    return model


def batches_from(step):
    """Batches of the run from a step on; the batch of a step is always the same."""
    while True:
        rng = np.random.default_rng(step)
        yield rng.normal(size=(2, 3)).astype("float32"), rng.normal(size=(2, 2)).astype("float32")
        step += 1


def fit(model, directory, saved=None, stop=None, stop_at=None, interval="1"):
    """Trains the rest of an epoch, or the rest of the run from the beginning of an epoch; returns the log."""
    state, facts = saved or (None, {})
    position = Position(STEPS, facts.get("epoch", 0), facts.get("step", 0))
    log = TrainingLog(directory / "history.csv", 2, position)
    if saved:
        restore_state(model, state)
        log.restore(facts["log"])

    class StopAt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if position.total_steps == stop_at:
                stop.received = "a signal"

    saving = CheckpointCallback(
        Checkpoints(directory, keep=99), EPOCHS, position, CheckpointInterval.parse(interval), log, {}, stop, state
    )
    callbacks = [position, StopAt(), log, saving]
    try:
        model.fit(
            batches_from(position.total_steps),
            initial_epoch=position.epoch,
            epochs=position.epoch + 1 if position.step else EPOCHS,
            steps_per_epoch=STEPS - position.step,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )
    finally:
        saving.close()
    return log


def test_a_stop_within_an_epoch_loses_nothing(tmp_path):
    whole = make_model()
    whole.train_on_batch(*next(batches_from(0)))  # builds the metrics, for which `fit` would use a batch of a generator
    restore_state(whole, _initial())
    expected = fit(whole, tmp_path / "whole")

    cut, stop = make_model(), StopSignals()
    cut.train_on_batch(*next(batches_from(0)))
    restore_state(cut, _initial())
    with pytest.raises(StoppedError):
        fit(cut, tmp_path / "cut", stop=stop, stop_at=6)
    saved = Checkpoints(tmp_path / "cut").newest()
    assert (saved[1]["epoch"], saved[1]["step"], saved[1]["steps_per_epoch"]) == (1, 2, STEPS)
    for ours, theirs in zip(cut.get_weights(), [saved[0][f"student-0000{i}"] for i in (0, 1)], strict=True):
        np.testing.assert_array_equal(ours, theirs)

    resumed = make_model(seed=7)
    resumed.train_on_batch(*next(batches_from(0)))
    while saved[1]["epoch"] < EPOCHS:
        log = fit(resumed, tmp_path / "cut", saved)
        saved = Checkpoints(tmp_path / "cut").newest()
    for ours, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    names = ("epoch", "loss", "mae", "learning_rate")
    assert [[row[name] for name in names] for row in log.rows] == [
        [row[name] for name in names] for row in expected.rows
    ]


def _initial():
    """State of a model before its first step."""
    return state_of(make_model())


def test_a_stop_during_the_evaluation_saves_the_whole_epoch(tmp_path):
    stop = StopSignals()
    position = Position(STEPS)
    log = TrainingLog(tmp_path / "history.csv", 2, position)

    class StopInEvaluation(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            stop.received = "a signal"

    interval = CheckpointInterval.parse("1h")
    saving = CheckpointCallback(Checkpoints(tmp_path), EPOCHS, position, interval, log, {}, stop)
    options = dict(epochs=EPOCHS, steps_per_epoch=STEPS, shuffle=False, verbose=0)
    callbacks = [position, StopInEvaluation(), log, saving]
    with pytest.raises(StoppedError):
        make_model().fit(batches_from(0), validation_data=next(batches_from(99)), callbacks=callbacks, **options)
    saving.close()
    facts = Checkpoints(tmp_path).facts()
    assert (facts["epoch"], facts["step"]) == (1, 0)
    assert "val_loss" in facts["log"]["rows"][0]


def test_an_interval_of_steps_is_kept_and_the_last_epoch_always_saved(tmp_path):
    fit(make_model(), tmp_path, interval="5")
    newest, *others = (path.name for path in Checkpoints(tmp_path).paths())
    assert newest == "step-000000012.npz"
    assert len(others) <= 2  # after the steps 5 and 10, or later if the one before is still being written


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    model = make_model()
    model.optimizer.learning_rate = float("inf")
    fit(model, tmp_path)
    assert Checkpoints(tmp_path).paths() == []
