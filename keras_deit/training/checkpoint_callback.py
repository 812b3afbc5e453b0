"""Writing checkpoints during training."""

import concurrent.futures
import time

import keras

from keras_deit.runtime import processes
from keras_deit.training import checkpoint


class StoppedError(Exception):
    """A signal asked the run to stop, and its state is in a checkpoint."""


class CheckpointCallback(keras.callbacks.Callback):
    """Writes checkpoints of a run, and ends the training with one when a signal arrives.

    The state is copied between two steps; a thread of this object writes the copy while the training goes on.

    Args:
        checkpoints: `Checkpoints`.
        epochs: Number of epochs of the run; a checkpoint follows the last one.
        position: `Position` of the run.
        interval: `CheckpointInterval`.
        log: `TrainingLog`, whose rows are saved too. It must come before this callback in the callbacks of `fit`.
        facts: Dictionary of further facts to save.
        stop: `StopSignals`, or None.
        metrics: Metrics of the state that the model was restored to, see `checkpoint.metrics_of`, or None. If the state is
            one within an epoch, they are restored when the epoch begins, at which Keras resets them.

    Raises:
        StoppedError: From `fit`, after a signal.
        DiskFullError: From `fit`, if there is no space for a checkpoint.
    """

    def __init__(self, checkpoints, epochs, position, interval, log, facts, stop=None, metrics=None):
        super().__init__()
        self.checkpoints = checkpoints
        self.epochs = epochs
        self.position = position
        self.interval = interval
        self.log = log
        self.facts = facts
        self.stop = stop
        self._metrics = metrics if position.step else None
        self._writer = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        self._writing = None
        self._written = None  # number of steps of the newest checkpoint of this object
        interval.begin(position.total_steps)

    def on_epoch_begin(self, epoch, logs=None):
        if self._metrics is not None:
            checkpoint.restore_metrics(self.model, self._metrics)
            self._metrics = None

    def on_train_batch_end(self, batch, logs=None):
        if self._writing is not None and self._writing.done():
            self._wait()  # raises the error of the thread, if there was one
        if self.position.is_whole:
            return  # the end of the epoch follows, after the validation
        is_stopped, is_due = self._requests()
        if is_stopped:
            self._stop(self.position.epoch, self.position.step)
        elif is_due:
            self._write(self.position.epoch, self.position.step)

    def on_epoch_end(self, epoch, logs=None):
        is_stopped, is_due = self._requests(at_end_of_epoch=True)
        if is_stopped:
            self._stop(epoch + 1, 0)
        elif is_due or epoch + 1 == self.epochs or self.model.stop_training:
            self._write(epoch + 1, 0)

    def save_epoch(self):
        """Writes a checkpoint at the end of an epoch, and waits until it is complete."""
        self._write(self.position.epoch + 1, 0)
        self._wait()

    def close(self):
        """Waits for the thread."""
        try:
            self._wait()
        finally:
            self._writer.shutdown()

    def _requests(self, at_end_of_epoch=False):
        """Whether to stop, and whether to write a checkpoint: of all processes at the same step, if one of them has to."""
        return processes.maximum(bool(self.stop and self.stop.received), self._is_due(at_end_of_epoch))

    def _is_due(self, at_end_of_epoch=False):
        is_busy = self._writing is not None and not self._writing.done()
        return not is_busy and self.interval.is_due(self.position.total_steps, at_end_of_epoch)

    def _stop(self, epoch, step):
        self._write(epoch, step)
        self._wait()
        raise StoppedError

    def _write(self, epoch, step):
        self._wait()
        if self._written == self.position.total_steps:
            return
        self._written = self.position.total_steps
        began = time.perf_counter()
        state = checkpoint.state_of(self.model)
        steps = self.position.steps_per_epoch
        facts = {"epoch": epoch, "step": step, "steps_per_epoch": steps, "log": self.log.state(), **self.facts}
        copying = time.perf_counter() - began
        self._writing = self._writer.submit(self._write_copy, state, facts, self.position.total_steps, copying)

    def _write_copy(self, state, facts, total_steps, copying):
        began = time.perf_counter()
        if checkpoint.is_finite(state):  # otherwise the next loss, or the end of the epoch, ends the run
            self.checkpoints.write(total_steps, state, facts)
        self.interval.wrote(total_steps, copying + time.perf_counter() - began)

    def _wait(self):
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()
