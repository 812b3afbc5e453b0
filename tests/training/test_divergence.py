"""Stopping a run whose loss or weights are no longer finite, or skipping such steps."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_deit.training.checkpoint import Checkpoints, restore_state
from keras_deit.training.checkpoint_callback import CheckpointCallback
from keras_deit.training.checkpoint_interval import CheckpointInterval
from keras_deit.training.device_strategy import setup_strategy
from keras_deit.training.divergence import DivergedError, DivergenceStop, check_finite_loss, has_finite_weights
from keras_deit.training.log import TrainingLog
from keras_deit.training.position import Position
from keras_deit.training.recipe_optimizer import scaling_loss
from keras_deit.training.resolve import resolve

SETTINGS = resolve({"variant": "deit_ti", "learning_rate": 0.5})


def fit(directory, labels, learning_rates=(0.0, 0.0, 0.0), validation=0.0):
    """Trains a linear model without input on constant labels, two steps an epoch; returns the model, log and error."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse")

    class SetLearningRate(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = learning_rates[epoch]

    position = Position(steps_per_epoch=2)
    log = TrainingLog(directory / "history.csv", 1, position)
    stop = DivergenceStop("student", SETTINGS, position, lambda epoch, step: [f"image of epoch {epoch}, step {step}"])
    saving = CheckpointCallback(Checkpoints(directory), 3, position, CheckpointInterval(steps=2), log, {})
    callbacks = [position, SetLearningRate(), stop, log, saving]
    zeros = np.zeros((1, 1), "float32")
    batches = ((zeros, np.full((1, 1), label, "float32")) for label in labels)
    options = dict(epochs=3, steps_per_epoch=2, shuffle=False, verbose=0)
    try:
        model.fit(batches, validation_data=(zeros, zeros + validation), callbacks=callbacks, **options)
    except DivergedError as error:
        return model, log, error
    finally:
        saving.close()
    return model, log, None


def fit_skipping(directory, labels, settings):
    """Trains like `fit` with an optimizer that skips steps; returns the model and the log."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(scaling_loss(keras.optimizers.SGD(0.25, momentum=0.5), "float32", skips=True), "mse")
    position = Position(steps_per_epoch=2)
    log = TrainingLog(directory / "history.csv", 1, position)
    stop = DivergenceStop("student", settings, position, lambda epoch, step: [f"image of epoch {epoch}, step {step}"])
    zeros = np.zeros((1, 1), "float32")
    model.train_on_batch(zeros, zeros)  # builds the metrics, for which `fit` would use a batch of a generator
    batches = ((zeros, np.full((1, 1), label, "float32")) for label in labels)
    options = dict(epochs=len(labels) // 2, steps_per_epoch=2, shuffle=False, verbose=0)
    model.fit(batches, callbacks=[position, stop, log], **options)
    return model, log


def test_a_skipped_step_leaves_the_weights_as_they_are_and_is_counted(tmp_path, capsys):
    settings = dataclasses.replace(SETTINGS, on_nan="skip")
    labels = [1.0, np.nan, 2.0, 3.0, np.inf, 4.0]
    model, log = fit_skipping(tmp_path, labels, settings)
    bias = velocity = np.float64(0)
    losses = []
    for label in (1.0, 2.0, 3.0, 4.0):  # SGD with momentum in float64, without the two steps
        losses.append((bias - label) ** 2)
        velocity = 0.5 * velocity - 0.25 * 2 * (bias - label)
        bias = bias + velocity
    np.testing.assert_allclose(model.get_weights()[1], [bias], rtol=1e-6)
    assert log.skipped_steps == 2
    expected = [losses[0], np.mean(losses[1:3]), losses[3]]  # of the steps that were not skipped
    np.testing.assert_allclose([row["loss"] for row in log.rows], expected, rtol=1e-6)
    assert float(keras.ops.convert_to_numpy(model.optimizer.dynamic_scale)) == 1.0
    printed = capsys.readouterr().out
    assert (
        "student: step 2 of epoch 1 was skipped: its loss is not finite. The images of the step: image of epoch 0"
        in printed
    )


def test_an_epoch_of_skipped_steps_alone_ends_the_training(tmp_path):
    with pytest.raises(DivergedError, match="stopped: the loss is not finite at step 2 of epoch 2"):
        fit_skipping(tmp_path, [1.0, 1.0, np.nan, np.nan, 1.0, 1.0], dataclasses.replace(SETTINGS, on_nan="skip"))


def test_a_step_is_skipped_whichever_device_has_the_loss_that_is_not_finite():
    name = {"tensorflow": "mirrored", "jax": "data_parallel", "torch": "none"}[keras.backend.backend()]
    with setup_strategy(name, 2).scope():
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(scaling_loss(keras.optimizers.SGD(0.25), "float32", skips=True), "mse")
        bias = np.float64(0)
        for labels in (
            [1.0, 2.0],
            [3.0, np.nan],
            [np.nan, 3.0],
            [4.0, 5.0],
        ):  # one of two devices has the second example
            model.fit(np.zeros((2, 1)), np.array(labels)[:, None], batch_size=2, verbose=0)
            bias -= 0.25 * 2 * (bias - np.mean(labels)) if np.isfinite(labels).all() else 0
        np.testing.assert_allclose(model.get_weights()[1], [bias], rtol=1e-6)


def epochs_saved(directory):
    return Checkpoints(directory).facts().get("epoch", 0)


def test_finite_training_is_not_stopped(tmp_path):
    _, log, error = fit(tmp_path, [1.0] * 6, (0.1,) * 3)
    assert (log.last_epoch, error) == (3, None)


@pytest.mark.parametrize("label", [np.nan, np.inf, 1e30])  # the square of the last is infinite in float32
def test_the_first_loss_that_is_not_finite_ends_the_training_before_the_epoch_is_saved(tmp_path, label):
    _, log, error = fit(tmp_path, [0.0, 0.0, 0.0, label, 0.0, 0.0])
    images = error.details.pop("images")
    assert error.details == {"value": "loss", "epoch": 2, "step": 2, "learning_rate": 0.0, "model": "student"}
    assert images == ["image of epoch 1, step 1"]
    assert (log.last_epoch, epochs_saved(tmp_path)) == (1, 1)
    for part in (
        "The images of the step: image of epoch 1, step 1. ",
        "step 2 of epoch 2",
        "--learning-rate 0.5",
        "such as --learning-rate 0.0005",
        "--clip-norm 1",
    ):
        assert part in str(error)


def test_weights_that_the_last_step_of_an_epoch_destroys_are_not_saved(tmp_path):
    _, _, error = fit(tmp_path, [0.0, 0.0, 0.0, 1e19, 0.0, 0.0], (0.0, 1e30, 0.0))  # the loss of 1e38 is finite
    assert (error.details["value"], error.details["epoch"], error.details["step"]) == ("weights", 2, 2)
    assert epochs_saved(tmp_path) == 1
    restored = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    restored.compile(keras.optimizers.SGD(0.0), "mse")
    restore_state(restored, Checkpoints(tmp_path).newest()[0])
    assert has_finite_weights(restored)


def test_a_loss_on_the_test_split_that_is_not_finite_ends_the_training(tmp_path):
    _, log, error = fit(tmp_path, [0.0] * 6, validation=1e30)
    assert error.details["value"] == "loss on the test split"
    assert (log.last_epoch, epochs_saved(tmp_path)) == (0, 0)


def test_the_error_proposes_the_learning_rate_of_the_recipe_or_a_tenth_of_the_runs():
    for learning_rate, proposed in ((1e30, "0.0005"), (5e-4, "5e-05"), (1e-5, "1e-06")):
        settings = resolve({"variant": "deit_ti", "learning_rate": learning_rate})
        with pytest.raises(DivergedError, match=f"such as --learning-rate {proposed} or"):
            check_finite_loss(float("nan"), settings)


def test_the_first_loss_of_a_dry_run_is_checked():
    check_finite_loss(1.0, SETTINGS)
    with pytest.raises(DivergedError, match="not finite at step 1 of epoch 1"):
        check_finite_loss(float("nan"), SETTINGS)
