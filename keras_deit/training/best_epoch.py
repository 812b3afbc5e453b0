"""The best epoch of a run: stopping when it is long past, and keeping its weights."""

import keras

from keras_deit.training import run_directory

ACCURACY = "val_accuracy"  # on the test split, in the log


def best_row(rows):
    """The row of the epoch with the highest accuracy on the test split, the first one of equals.

    Args:
        rows: Rows of `TrainingLog`.

    Returns:
        The row, or None without a row.

    Example:

    >>> rows = [{"epoch": epoch, "val_accuracy": accuracy} for epoch, accuracy in ((1, 0.5), (2, 0.75), (3, 0.75))]
    >>> best_row(rows)["epoch"]
    2
    """
    return max(rows, key=lambda row: row[ACCURACY], default=None)


def is_past(rows, patience):
    """Returns whether so many epochs followed the best one without a higher accuracy.

    Args:
        rows: Rows of `TrainingLog`.
        patience: Number of epochs; None means never.
    """
    return bool(patience and rows) and rows[-1]["epoch"] - best_row(rows)["epoch"] >= patience


class BestEpoch(keras.callbacks.Callback):
    """Ends the training some epochs after the best one, and keeps the weights of the best one.

    Everything follows from the rows of the log, so that a resumed run needs no further state.

    Args:
        run: `Run`.
        log: `TrainingLog`, which must come before this callback.
    """

    def __init__(self, run, log):
        super().__init__()
        self.run = run
        self.log = log

    def on_epoch_end(self, epoch, logs=None):
        if self.run.settings.keep == "best" and best_row(self.log.rows) is self.log.rows[-1]:
            run_directory.save_best(self.run.student, self.run.directory)
        if is_past(self.log.rows, self.run.settings.patience):
            self.model.stop_training = True
