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


def save_if_best(run, log):
    """Saves the weights of the student if the last epoch is the best one and the run keeps them.

    A checkpoint of that epoch must exist already. If the process dies before the weights are saved, the resumed run calls
    this function again. Without the checkpoint it would train the epoch anew, perhaps with another accuracy, and the weights
    that are kept would be of an epoch that the run does not have.

    Args:
        run: `Run`, whose student has the weights of the last epoch.
        log: `TrainingLog`.
    """
    if _is_new_best(run, log):
        run_directory.save_best(run.student, run.directory)


def _is_new_best(run, log):
    return run.settings.keep == "best" and bool(log.rows) and best_row(log.rows) is log.rows[-1]


class BestEpoch(keras.callbacks.Callback):
    """Ends the training some epochs after the best one, and keeps the weights of the best one.

    Everything follows from the rows of the log, so that a resumed run needs no further state.

    Args:
        run: `Run`.
        log: `TrainingLog`, which must come before this callback.
        saving: `CheckpointCallback`, which must come after it.
    """

    def __init__(self, run, log, saving):
        super().__init__()
        self.run = run
        self.log = log
        self.saving = saving

    def on_epoch_end(self, epoch, logs=None):
        if _is_new_best(self.run, self.log):
            self.saving.save_epoch()
            save_if_best(self.run, self.log)
        if is_past(self.log.rows, self.run.settings.patience):
            self.model.stop_training = True
