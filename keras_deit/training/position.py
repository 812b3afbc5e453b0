"""How far a run has been trained."""

import keras


class Position(keras.callbacks.Callback):
    """Counts epochs and steps for the other callbacks of a run, and must be the first of them.

    Args:
        steps_per_epoch: Number of steps in an epoch.
        epoch: Number of whole epochs before `fit`.
        step: Number of steps of the next epoch before `fit`, in a run that continues within an epoch.

    Attributes:
        steps_per_epoch: See above.
        epoch: The epoch that is trained, from 0.
        step: Number of its steps that were taken. After the last one, `epoch` still is the epoch that has ended.

    Example:

    >>> position = Position(steps_per_epoch=10, epoch=2, step=4)
    >>> position.total_steps, position.is_whole
    (24, False)
    """

    def __init__(self, steps_per_epoch, epoch=0, step=0):
        super().__init__()
        self.steps_per_epoch = steps_per_epoch
        self.epoch = epoch
        self.step = step
        self._first = step

    @property
    def is_whole(self):
        """Whether every step of the epoch was taken."""
        return self.step == self.steps_per_epoch

    @property
    def total_steps(self):
        """Number of steps since the beginning of the run."""
        return self.epoch * self.steps_per_epoch + self.step

    def on_epoch_begin(self, epoch, logs=None):
        if epoch != self.epoch:
            self.epoch, self.step = epoch, 0
        self._first = self.step

    def on_train_batch_end(self, batch, logs=None):
        self.step = self._first + batch + 1  # Keras counts from the beginning of this call of `fit`
