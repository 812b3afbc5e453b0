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
        position: `Position` of the run.
        timer: `InputStallTimer` of the training batches, or None.

    Attributes:
        rows: List of dictionaries: `epoch` (from 1), `learning_rate`, `seconds` (training only), `images_per_second`,
            `waiting_for_data` (fraction of the seconds), and the logs of Keras.
    """

    def __init__(self, path, batch_size, position, timer=None):
        super().__init__()
        self.path = pathlib.Path(path)
        self.batch_size = batch_size
        self.position = position
        self.timer = timer
        self.rows = []
        self._speeds = []  # images per second of the epochs of this process
        self._stalled_before = 0.0
        self._seconds_before = 0.0
        self._started = time.perf_counter()
        self._epoch_seconds = 0.0  # of the first epoch of this process, in earlier processes
        self._first_step = 0
        self._epoch_began = self._training_ended = None
        self._skipped_before, self._start = 0, None

    def state(self):
        """The log as a dictionary that JSON can represent, for `restore`."""
        began = self._epoch_began
        in_epoch = self._epoch_seconds + (0.0 if began is None else time.perf_counter() - began)
        return {
            "rows": self.rows.copy(),
            "seconds": self.total_seconds,
            "epoch_seconds": in_epoch,
            "skipped_steps": self.skipped_steps,
        }

    def restore(self, state):
        """Continues the log of an interrupted run.

        Args:
            state: Dictionary of `state`.
        """
        self.rows[:] = state["rows"]
        self._seconds_before, self._epoch_seconds = state["seconds"], state["epoch_seconds"]
        self._skipped_before = state["skipped_steps"]

    @property
    def last_epoch(self):
        """Number of the last whole epoch; 0 before the first epoch ends."""
        return self.rows[-1]["epoch"] if self.rows else 0

    @property
    def total_seconds(self):
        """Seconds of the run so far: evaluation is included, and the time before an interruption."""
        return self._seconds_before + time.perf_counter() - self._started

    @property
    def skipped_steps(self):
        """Number of steps so far that the optimizer left out, because their gradients were not finite."""
        if self._start is None:
            return self._skipped_before
        steps, updates = self._steps_and_updates()
        return self._skipped_before + (steps - self._start[0]) - (updates - self._start[1])

    def _steps_and_updates(self):
        iterations = self.model.optimizer.iterations
        return self.position.total_steps, int(keras.ops.convert_to_numpy(iterations))

    def on_train_begin(self, logs=None):
        self._start = self._start or self._steps_and_updates()

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
        self._stalled_before = self.timer.seconds if self.timer else 0.0
        self._epoch_began, self._training_ended = time.perf_counter(), None
        self._first_step = self.position.step

    def on_test_begin(self, logs=None):
        self._training_ended = self._training_ended or time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = (self._training_ended or time.perf_counter()) - self._epoch_began
        self._speeds.append((self.position.step - self._first_step) * self.batch_size / seconds)
        rate = last_learning_rate(self.model.optimizer)
        row = {"epoch": epoch + 1, "learning_rate": rate, "seconds": self._epoch_seconds + seconds}
        row["images_per_second"] = self._speeds[-1]
        if self.timer:
            row["waiting_for_data"] = (self.timer.seconds - self._stalled_before) / seconds
        row.update((name, float(value)) for name, value in (logs or {}).items())
        self.rows.append(row)
        self._epoch_began, self._epoch_seconds = None, 0.0
        self._write()

    def _write(self):
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(self.rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_whole(self.path, text.getvalue())


def read_history(path):
    """Reads `history.csv`.

    Args:
        path: Path of the file.

    Returns:
        List of rows as in `TrainingLog.rows`, None where a row has no value; empty if there is no such file.
    """
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows = [{name: float(value) if value else None for name, value in row.items()} for row in rows]
    return [{**row, "epoch": int(row["epoch"])} for row in rows]


def _mean_after_first(values):
    """Mean of the values without the first, or of one value; None if there are none."""
    values = values[1:] or values
    return sum(values) / len(values) if values else None
