"""The progress of a run on the terminal, or in a file."""

import sys
import time

import keras

from keras_deit.runtime.devices import gpu_peak_memory
from keras_deit.runtime.files import format_bytes
from keras_deit.runtime.optional import require
from keras_deit.runtime.printing import format_duration

FIRST_LINE, LINE_EVERY = 5.0, 60.0  # seconds measured before the first line within an epoch, and at least between lines
REFRESH_EVERY = 1.0  # second, of the figures behind the bar
_SHOWN = {"val_accuracy": "test", "val_class_accuracy": "class", "val_distillation_accuracy": "distillation"}
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} steps [{elapsed}{postfix}]"


class Progress(keras.callbacks.Callback):
    """Shows a progress bar over the whole training, and prints a line after every epoch.

    Bar and lines give images per second, learning rate, peak memory of the GPUs and the time left, all without the first
    step, which compiles. If the output is not a terminal, there is no bar, and long epochs have lines too, at most one a
    minute. One object may serve several calls of `fit`.

    Args:
        title: Name of the model that is trained.
        epochs: Number of epochs.
        position: `Position` of the run.
        pace: `Pace` of the run, which this object keeps up to date.
        schedule: Keras `LearningRateSchedule`.
    """

    def __init__(self, title, epochs, position, pace, schedule):
        super().__init__()
        self.title = title
        self.epochs = epochs
        self.position = position
        self.pace = pace
        self.schedule = schedule
        self.bar = None
        self._shown_at = None  # when the last line was printed, or the bar refreshed

    def on_train_begin(self, logs=None):
        tqdm = require("tqdm", extra="run", purpose="The progress bar")
        self.pace.begin()
        self.bar = tqdm.tqdm(
            total=self._total_steps,
            initial=self.position.total_steps,
            desc=self.title,
            file=sys.stdout,
            disable=not sys.stdout.isatty(),
            dynamic_ncols=True,
            bar_format=_BAR,
        )

    @property
    def _total_steps(self):
        return self.epochs * self.position.steps_per_epoch

    def on_train_batch_end(self, batch, logs=None):
        self.pace.end_step()
        if self.bar.disable:
            if self._is_line_due() and not self.position.is_whole:  # the line of the epoch follows
                self._print_step(logs)
            return
        if self._seconds_since_shown() >= REFRESH_EVERY:
            self._shown_at = time.perf_counter()
            left = self._time_left(self.epochs - self.position.epoch)  # first: a narrow terminal cuts the rest off
            self.bar.set_postfix_str(", ".join([*left, f"loss {logs['loss']:.3f}", *self._figures()]), refresh=False)
        self.bar.update()

    def _seconds_since_shown(self):
        return float("inf") if self._shown_at is None else time.perf_counter() - self._shown_at

    def _is_line_due(self):
        if self._shown_at is None:
            return self.pace.measured_seconds >= FIRST_LINE
        return self._seconds_since_shown() >= LINE_EVERY

    def _print_step(self, logs):
        epoch, step, steps = self.position.epoch, self.position.step, self.position.steps_per_epoch
        heading = f"epoch {epoch + 1}/{self.epochs}, step {step:,}/{steps:,}"
        self._print(heading, [f"loss {logs['loss']:.3f}"], validations=self.epochs - epoch)

    def on_test_begin(self, logs=None):
        self.pace.begin_validation()

    def on_test_end(self, logs=None):
        self.pace.end_validation()

    def on_epoch_end(self, epoch, logs=None):
        shown = [f"loss {logs['loss']:.3f}"]
        shown += [f"{label} {logs[name]:.1%}" for name, label in _SHOWN.items() if name in logs]
        self._print(f"epoch {epoch + 1}/{self.epochs}", shown, validations=self.epochs - epoch - 1)
        self.pace.end_epoch()

    def _print(self, heading, shown, validations):
        self._shown_at = time.perf_counter()
        line = "  ".join([f"{self.title}: {heading}", *shown, *self._figures(), *self._time_left(validations)])
        if self.bar.disable:
            print(line, flush=True)  # a file that is watched would otherwise get the lines much later
        else:
            self.bar.write(line, file=sys.stdout)

    def _figures(self):
        figures = []
        if self.pace.images_per_second:
            figures.append(f"{self.pace.images_per_second:,.0f} images/s")
        figures.append(f"learning rate {float(self.schedule(self.position.total_steps - 1)):.3g}")
        memory = gpu_peak_memory()
        return figures if memory is None else [*figures, f"GPU memory {format_bytes(memory)}"]

    def _time_left(self, validations):
        left = self.pace.seconds_left(self._total_steps - self.position.total_steps, validations)
        return [] if left is None else [f"{format_duration(left)} left"]

    def on_train_end(self, logs=None):
        self.close()

    def close(self):
        """Ends the bar, also after an exception in `fit`."""
        if self.bar is not None:
            self.bar.leave = self.bar.n >= self.bar.total  # another call of `fit` shows the bar again
            self.bar.close()
