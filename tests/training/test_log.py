"""The log of a run."""

import csv

import keras
import numpy as np

from keras_deit.data.pipeline.input_stall_timer import InputStallTimer
from keras_deit.training.log import TrainingLog
from tests.training.small_fit import fit


def test_every_epoch_becomes_a_row_of_the_file(tmp_path):
    log = TrainingLog(tmp_path / "history.csv", batch_size=2)
    fit([log])
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {float(row["learning_rate"]) for row in rows} == {0.125}
    assert all(float(row["val_loss"]) == 0.0 and float(row["seconds"]) > 0 for row in rows)
    speeds = [8 / float(row["seconds"]) for row in rows]
    np.testing.assert_allclose(log.images_per_second, np.mean(speeds[1:]), rtol=1e-6)
    assert log.waiting_for_data is None  # there is no timer


def test_the_position_is_the_epoch_and_the_number_of_trained_batches(tmp_path):
    log, positions = TrainingLog(tmp_path / "history.csv", batch_size=2), []

    class RecordPositions(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            positions.append(log.position)

        def on_test_begin(self, logs=None):
            positions.append(log.position)

        def on_epoch_end(self, epoch, logs=None):
            positions.append(log.position)

    log.restore([{"epoch": 4}], seconds=0.0)
    assert log.position == (4, 0)  # before the first batch
    log.rows.clear()
    fit([log, RecordPositions()], epochs=2)
    first = [(0, 1), (0, 2), (0, 3), (0, 4), (0, 4), (1, 0)]  # four batches, the evaluation, the end of the epoch
    assert positions == first + [(epoch + 1, batch) for epoch, batch in first]


def test_a_resumed_run_keeps_its_rows_and_seconds(tmp_path):
    log = TrainingLog(tmp_path / "history.csv", batch_size=2)
    log.restore([{"epoch": 7, "images_per_second": 5.0}], seconds=3600)
    assert log.last_epoch == 7
    assert 3600 < log.total_seconds < 3660
    assert log.images_per_second == 5.0


def test_the_time_spent_waiting_for_data_is_a_fraction_of_each_epoch(tmp_path):
    timer = InputStallTimer()

    class Wait(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            timer.seconds += (0.0, 60.0, 30.0)[epoch]

    log = TrainingLog(tmp_path / "history.csv", batch_size=2, timer=timer)
    fit([log, Wait()])
    seconds = [row["seconds"] for row in log.rows]
    fractions = [row["waiting_for_data"] for row in log.rows]
    np.testing.assert_allclose(fractions, [0, 60 / seconds[1], 30 / seconds[2]])
    np.testing.assert_allclose(log.waiting_for_data, np.mean(fractions[1:]))
