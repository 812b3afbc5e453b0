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
        position: `Position` of the run.
    """

    def __init__(self, title, epochs, position):
        super().__init__()
        self.title = title
        self.epochs = epochs
        self.position = position
        self.began = self.bar = None

    def on_train_begin(self, logs=None):
        tqdm = require("tqdm", extra="run", purpose="The progress bar")
        if self.began is None:
            self.began, self.first_step = time.perf_counter(), self.position.total_steps
        self.bar = tqdm.tqdm(
            total=self._total_steps,
            initial=self.position.total_steps,
            desc=self.title,
            unit="step",
            file=sys.stdout,
            disable=not sys.stdout.isatty(),
            dynamic_ncols=True,
        )

    @property
    def _total_steps(self):
        return self.epochs * self.position.steps_per_epoch

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        logs = {name: float(value) for name, value in (logs or {}).items()}
        shown = [f"loss {logs['loss']:.3f}"]
        shown += [f"{label} {logs[name]:.1%}" for name, label in _SHOWN.items() if name in logs]
        done = self.position.total_steps
        left = (time.perf_counter() - self.began) / (done - self.first_step) * (self._total_steps - done)
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
