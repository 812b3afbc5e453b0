"""The log of a run."""

import csv

import keras
import numpy as np

from keras_deit.data.pipeline.input_stall_timer import InputStallTimer
from keras_deit.training.log import TrainingLog
from keras_deit.training.position import Position
from tests.training.small_fit import fit


def make_log(directory, position=None, timer=None):
    return TrainingLog(directory / "history.csv", 2, position or Position(steps_per_epoch=4), timer)


def test_every_epoch_becomes_a_row_of_the_file(tmp_path):
    log = make_log(tmp_path)
    fit([log.position, log])
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {float(row["learning_rate"]) for row in rows} == {0.125}
    assert all(float(row["val_loss"]) == 0.0 and float(row["seconds"]) > 0 for row in rows)
    speeds = [8 / float(row["seconds"]) for row in rows]
    np.testing.assert_allclose(log.images_per_second, np.mean(speeds[1:]), rtol=1e-6)
    assert log.waiting_for_data is None  # there is no timer


def test_a_resumed_run_keeps_its_rows_and_seconds(tmp_path):
    log = make_log(tmp_path)
    log.restore(
        {"rows": [{"epoch": 7, "images_per_second": 5.0}], "seconds": 3600, "epoch_seconds": 0.0, "skipped_steps": 0}
    )
    assert log.last_epoch == 7
    assert 3600 < log.total_seconds < 3660
    assert log.images_per_second == 5.0


def test_the_seconds_of_an_epoch_include_those_before_an_interruption_within_it(tmp_path):
    log = make_log(tmp_path, Position(steps_per_epoch=10, epoch=1, step=6))
    log.restore({"rows": [], "seconds": 3600.0, "epoch_seconds": 500.0, "skipped_steps": 3})
    fit([log.position, log], epochs=3, initial_epoch=1)
    assert 500 < log.rows[0]["seconds"] < 600
    assert log.rows[1]["seconds"] < 100
    np.testing.assert_allclose(log.rows[0]["images_per_second"], 4 * 2 / (log.rows[0]["seconds"] - 500), rtol=1e-3)
    state = log.state()
    assert (state["rows"], state["epoch_seconds"], state["skipped_steps"]) == (log.rows, 0.0, 3)


def test_the_time_spent_waiting_for_data_is_a_fraction_of_each_epoch(tmp_path):
    timer = InputStallTimer()

    class Wait(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            timer.seconds += (0.0, 60.0, 30.0)[epoch]

    log = make_log(tmp_path, timer=timer)
    fit([log.position, log, Wait()])
    seconds = [row["seconds"] for row in log.rows]
    fractions = [row["waiting_for_data"] for row in log.rows]
    np.testing.assert_allclose(fractions, [0, 60 / seconds[1], 30 / seconds[2]])
    np.testing.assert_allclose(log.waiting_for_data, np.mean(fractions[1:]))
