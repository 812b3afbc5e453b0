"""The progress of a run on the terminal."""

import sys
import time

import keras

from keras_deit.runtime.optional import require

_SHOWN = {"val_accuracy": "test", "val_class_accuracy": "class", "val_distillation_accuracy": "distillation"}


class Progress(keras.callbacks.Callback):
    """Shows a progress bar over the whole training, with the time left, and prints a line after every epoch.

    If the output is not a terminal, only the lines are printed. One object may serve several calls of `fit`.

    Args:
        title: Name of the model that is trained.
        epochs: Number of epochs.
        steps_per_epoch: Number of steps in an epoch.
        first_epoch: Number of epochs that were trained before, in an interrupted run.
    """

    def __init__(self, title, epochs, steps_per_epoch, first_epoch=0):
        super().__init__()
        self.title = title
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.first_epoch = first_epoch
        self.began = self.bar = None

    def on_train_begin(self, logs=None):
        tqdm = require("tqdm", extra="run", purpose="The progress bar")
        self.began = self.began or time.perf_counter()
        self.bar = tqdm.tqdm(
            total=self.epochs * self.steps_per_epoch,
            initial=self.first_epoch * self.steps_per_epoch if self.bar is None else self.bar.n,
            desc=self.title,
            unit="step",
            file=sys.stdout,
            disable=not sys.stdout.isatty(),
            dynamic_ncols=True,
        )

    def on_epoch_begin(self, epoch, logs=None):
        self.steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        if self.steps < self.steps_per_epoch:
            self.bar.write(f"{self.title}: interrupted in epoch {epoch + 1}/{self.epochs}", file=sys.stdout)
            return
        logs = {name: float(value) for name, value in (logs or {}).items()}
        shown = [f"loss {logs['loss']:.3f}"]
        shown += [f"{label} {logs[name]:.1%}" for name, label in _SHOWN.items() if name in logs]
        left = (time.perf_counter() - self.began) / (epoch + 1 - self.first_epoch) * (self.epochs - epoch - 1)
        line = f"{self.title}: epoch {epoch + 1}/{self.epochs}  {'  '.join(shown)}  {format_duration(left)} left"
        self.bar.write(line, file=sys.stdout)

    def on_train_end(self, logs=None):
        self.close()

    def close(self):
        """Ends the bar, also after an exception in `fit`."""
        if self.bar is not None:
            self.bar.leave = self.bar.n >= self.bar.total  # another call of `fit` shows the bar again
            self.bar.close()


def format_duration(seconds):
    """Formats a duration for people to read.

    Args:
        seconds: Float.

    Returns:
        String.

    Example:

    >>> format_duration(75)
    '1 min 15 s'
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
