"""The state of a run after its last whole epoch, and going on from it."""

import json
import pathlib
import shutil

import keras
import numpy as np

from keras_deit.runtime.files import flush, write_whole

POINTER = "checkpoint.json"


class EpochCheckpoint(keras.callbacks.Callback):
    """Saves the state of training after every whole epoch.

    Each epoch gets a folder of its own; when all of it is on the disk, a small file is replaced that names it, and the
    folder before is removed. A cut at any moment, of the power too, leaves a whole checkpoint.

    Args:
        directory: The run's output directory.
        history: `keras_deit.training.history.History` of the run, saved along. It comes before this one among the
            callbacks of `fit`.
    """

    def __init__(self, directory, history):
        super().__init__()
        self.directory = pathlib.Path(directory)
        self.history = history

    def on_epoch_end(self, epoch, logs=None):
        if self.history.last_epoch != epoch + 1:  # the epoch was cut short
            return
        folder = self.directory / "checkpoint" / f"epoch-{epoch + 1:05d}"
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was cut while it wrote
        folder.mkdir(parents=True)
        self.model.save_weights(folder / "state.weights.h5")  # the optimiser's state included
        np.savez(folder / "seeds.npz", *[keras.ops.convert_to_numpy(seed) for seed in _seed_states(self.model)])
        flush(folder)
        pointer = {
            "epoch": epoch + 1,
            "folder": folder.name,
            "backend": keras.backend.backend(),
            "seconds": self.history.total_seconds,
            "history": self.history.rows,
        }
        write_whole(self.directory / POINTER, json.dumps(pointer, indent=1))
        for other in folder.parent.glob("epoch-*"):
            if other != folder:
                shutil.rmtree(other)


def restore(model, directory, history):
    """Brings a compiled model to the state after its last whole epoch.

    Args:
        model: The compiled model, built as in the run that is gone on with.
        directory: The run's output directory.
        history: `History`, filled with the rows and seconds so far.

    Returns:
        Number of epochs done; 0 if there is no checkpoint yet.
    """
    state = _read(directory)
    if state is None:
        return 0
    folder = pathlib.Path(directory) / "checkpoint" / state["folder"]
    model.optimizer.build(model.trainable_variables)
    model.load_weights(folder / "state.weights.h5")
    with np.load(folder / "seeds.npz") as seeds:
        for variable, value in zip(_seed_states(model), seeds.values(), strict=True):
            variable.assign(value)
    history.restore(state["history"], state["seconds"])
    return state["epoch"]


def epochs_done(directory):
    """Number of whole epochs that a run has a checkpoint of."""
    state = _read(directory)
    return state["epoch"] if state else 0


def backend_of(directory):
    """Name of the backend that a run's checkpoint was made on, or None if there is no checkpoint."""
    state = _read(directory)
    return state["backend"] if state else None


def discard(directory):
    """Removes the checkpoint of a finished run.

    Args:
        directory: The run's output directory.
    """
    directory = pathlib.Path(directory)
    (directory / POINTER).unlink(missing_ok=True)
    shutil.rmtree(directory / "checkpoint", ignore_errors=True)


def _read(directory):
    pointer = pathlib.Path(directory) / POINTER
    return json.loads(pointer.read_text()) if pointer.exists() else None


def _seed_states(model):
    """The states of the student's random generators, which Keras leaves out of weight files."""
    student = getattr(model, "student", model)
    return [variable for variable in student.non_trainable_variables if variable.name == "seed_generator_state"]
