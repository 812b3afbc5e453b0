"""What a run reports while it trains: a row an epoch, a progress bar, and a way to stop."""

import csv
import io
import pathlib
import signal
import sys
import threading
import time

import keras

from keras_deit.runtime.files import write_whole
from keras_deit.runtime.optional import require

_SHOWN = {"val_accuracy": "test", "val_class_accuracy": "class", "val_distillation_accuracy": "distillation"}


class History(keras.callbacks.Callback):
    """Collects a row for every whole epoch and keeps `history.csv` up to date.

    Args:
        path: Path of the CSV file; it is replaced whole after every epoch.
        batch_size: Number of images in a batch, over all replicas.
        waiting: `keras_deit.data.InputStallTimer` of the training batches, or None.

    Attributes:
        rows: List of dictionaries: epoch (from 1), learning_rate, seconds (training only), images_per_second,
            waiting_for_data (the share of the seconds), and the logs.
        total_seconds: Seconds of the run so far, evaluation included, with those before an interruption.
    """

    def __init__(self, path, batch_size, waiting=None):
        super().__init__()
        self.waiting = waiting
        self._waited_before = 0.0
        self.path = pathlib.Path(path)
        self.batch_size = batch_size
        self.rows = []
        self._speeds = []  # of this process, whose first epoch compiles
        self._steps = 0
        self._seconds_before = 0.0
        self._started = time.perf_counter()
        self._epoch = 0
        self._began = self._trained = None

    def restore(self, rows, seconds):
        """Takes over the rows and the seconds of a run that is gone on with."""
        self.rows[:] = rows
        self._seconds_before = seconds

    @property
    def last_epoch(self):
        """Number of the last whole epoch, 0 before the first."""
        return self.rows[-1]["epoch"] if self.rows else 0

    @property
    def place(self):
        """Number of the epoch, from 0, and of its batches that were trained on; all of them while it is evaluated."""
        return (self.last_epoch, 0) if self._began is None else (self._epoch, self._steps)

    @property
    def total_seconds(self):
        return self._seconds_before + time.perf_counter() - self._started

    @property
    def images_per_second(self):
        """Of this process's epochs (or of those before it) after the first, which compiles; or of that; or None."""
        speeds = self._speeds or [row["images_per_second"] for row in self.rows]
        speeds = speeds[1:] or speeds
        return sum(speeds) / len(speeds) if speeds else None

    @property
    def waiting_for_data(self):
        """Share of the training time, of the epochs after the first, or of that; or None."""
        shares = [row["waiting_for_data"] for row in self.rows if "waiting_for_data" in row]
        shares = shares[1:] or shares
        return sum(shares) / len(shares) if shares else None

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._waited_before = self.waiting.seconds if self.waiting else 0.0
        self._began, self._trained, self._steps = time.perf_counter(), None, 0

    def on_train_batch_end(self, batch, logs=None):
        self._steps += 1

    def on_test_begin(self, logs=None):
        self._trained = self._trained or time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        if self._steps < self.params["steps"]:  # cut short
            return
        seconds = (self._trained or time.perf_counter()) - self._began
        learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self._speeds.append(self._steps * self.batch_size / seconds)
        row = {"epoch": epoch + 1, "learning_rate": learning_rate, "seconds": seconds}
        row["images_per_second"] = self._speeds[-1]
        if self.waiting:
            row["waiting_for_data"] = (self.waiting.seconds - self._waited_before) / seconds
        row.update((name, float(value)) for name, value in (logs or {}).items())
        self.rows.append(row)
        self._began = None
        self._write()

    def _write(self):
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(self.rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_whole(self.path, text.getvalue())


class Progress(keras.callbacks.Callback):
    """A progress bar over the whole training with the time left, and a line for every epoch.

    Where the output is no terminal there is no bar, only the lines.

    Args:
        title: What is being trained.
        epochs: Number of epochs.
        steps_per_epoch: Number of steps in an epoch.
        first_epoch: Epochs that were done before.
    """

    def __init__(self, title, epochs, steps_per_epoch, first_epoch=0):
        super().__init__()
        self.title = title
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.first_epoch = first_epoch

    def on_train_begin(self, logs=None):
        tqdm = require("tqdm", extra="run", purpose="The progress bar")
        self.bar = tqdm.tqdm(
            total=self.epochs * self.steps_per_epoch,
            initial=self.first_epoch * self.steps_per_epoch,
            desc=self.title,
            unit="step",
            file=sys.stdout,
            disable=not sys.stdout.isatty(),
            dynamic_ncols=True,
        )
        self.began = time.perf_counter()

    def on_epoch_begin(self, epoch, logs=None):
        self.steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        if self.steps < self.steps_per_epoch:  # cut short
            self.bar.write(f"{self.title}: interrupted in epoch {epoch + 1}/{self.epochs}", file=sys.stdout)
            return
        logs = {name: float(value) for name, value in (logs or {}).items()}
        shown = [f"loss {logs['loss']:.3f}"]
        shown += [f"{label} {logs[name]:.1%}" for name, label in _SHOWN.items() if name in logs]
        left = (time.perf_counter() - self.began) / (epoch + 1 - self.first_epoch) * (self.epochs - epoch - 1)
        line = f"{self.title}: epoch {epoch + 1}/{self.epochs}  {'  '.join(shown)}  {duration(left)} left"
        self.bar.write(line, file=sys.stdout)

    def on_train_end(self, logs=None):
        self.bar.close()


class GracefulStop(keras.callbacks.Callback):
    """Turns Ctrl-C (and a request to terminate) into an orderly end after the batch at hand; a second one ends at once.

    An exception in the middle of a step would leave a JAX model without its variables. What comes during a validation
    takes effect at its end, when the epoch is whole.

    Attributes:
        interrupted: Whether a signal came.
    """

    def __init__(self):
        super().__init__()
        self.interrupted = False

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():  # Python delivers signals to this thread only
            self._former = {kind: signal.signal(kind, self._stop) for kind in (signal.SIGINT, signal.SIGTERM)}
        else:
            self._former = {}
        return self

    def __exit__(self, *_):
        for kind, handler in self._former.items():
            signal.signal(kind, handler)

    def on_train_batch_end(self, batch, logs=None):
        if self.interrupted:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        if self.interrupted:
            self.model.stop_training = True

    def _stop(self, kind, frame):
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        print("\nStopping after this batch; once more to stop at once.", flush=True)


def duration(seconds):
    """A duration for a person to read.

    Args:
        seconds: Float.

    Returns:
        String.

    Example:

    >>> duration(75)
    '1 min 15 s'
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
