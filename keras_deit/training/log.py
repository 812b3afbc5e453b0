"""The log of a run: one row for each epoch."""

import csv
import io
import pathlib
import time

import keras

from keras_deit.runtime.files import write_whole
from keras_deit.training.schedule import last_learning_rate


class TrainingLog(keras.callbacks.Callback):
    """Collects one row for each whole epoch and keeps `history.csv` up to date.

    Args:
        path: Path of the CSV file; it is replaced whole after every epoch.
        batch_size: Number of images in a batch, over all replicas.
        timer: `InputStallTimer` of the training batches, or None.

    Attributes:
        rows: List of dictionaries: `epoch` (from 1), `learning_rate`, `seconds` (training only), `images_per_second`,
            `waiting_for_data` (fraction of the seconds), and the logs of Keras.
    """

    def __init__(self, path, batch_size, timer=None):
        super().__init__()
        self.path = pathlib.Path(path)
        self.batch_size = batch_size
        self.timer = timer
        self.rows = []
        self._speeds = []  # images per second of the epochs of this process
        self._stalled_before = 0.0
        self._steps = 0
        self._seconds_before = 0.0
        self._started = time.perf_counter()
        self._epoch = 0
        self._epoch_began = self._training_ended = None

    def restore(self, rows, seconds):
        """Continues the log of an interrupted run.

        Args:
            rows: Rows so far.
            seconds: Seconds so far.
        """
        self.rows[:] = rows
        self._seconds_before = seconds

    @property
    def last_epoch(self):
        """Number of the last whole epoch; 0 before the first epoch ends."""
        return self.rows[-1]["epoch"] if self.rows else 0

    @property
    def position(self):
        """Epoch, from 0, and number of its batches that were trained on; all of its batches while it is evaluated."""
        return (self.last_epoch, 0) if self._epoch_began is None else (self._epoch, self._steps)

    @property
    def total_seconds(self):
        """Seconds of the run so far: evaluation is included, and the time before an interruption."""
        return self._seconds_before + time.perf_counter() - self._started

    @property
    def images_per_second(self):
        """Mean images per second of the epochs of this process, or of earlier processes if this one trained no epoch.

        The first epoch, which includes compilation, is left out if there are others. None before the first epoch ends.
        """
        return _mean_after_first(self._speeds or [row["images_per_second"] for row in self.rows])

    @property
    def waiting_for_data(self):
        """Mean fraction of the training time that was spent waiting for data.

        The first epoch is left out if there are others. None before the first epoch ends, and without a timer.
        """
        return _mean_after_first([row["waiting_for_data"] for row in self.rows if "waiting_for_data" in row])

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._stalled_before = self.timer.seconds if self.timer else 0.0
        self._epoch_began, self._training_ended, self._steps = time.perf_counter(), None, 0

    def on_train_batch_end(self, batch, logs=None):
        self._steps += 1

    def on_test_begin(self, logs=None):
        self._training_ended = self._training_ended or time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        if self._steps < self.params["steps"]:  # the epoch was interrupted
            return
        seconds = (self._training_ended or time.perf_counter()) - self._epoch_began
        self._speeds.append(self._steps * self.batch_size / seconds)
        rate = last_learning_rate(self.model.optimizer)
        row = {"epoch": epoch + 1, "learning_rate": rate, "seconds": seconds}
        row["images_per_second"] = self._speeds[-1]
        if self.timer:
            row["waiting_for_data"] = (self.timer.seconds - self._stalled_before) / seconds
        row.update((name, float(value)) for name, value in (logs or {}).items())
        self.rows.append(row)
        self._epoch_began = None
        self._write()

    def _write(self):
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(self.rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_whole(self.path, text.getvalue())


def _mean_after_first(values):
    """Mean of the values without the first, or of one value; None if there are none."""
    values = values[1:] or values
    return sum(values) / len(values) if values else None
