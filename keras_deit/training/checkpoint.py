"""The state of a run after its last whole epoch, and restoring it."""

import json
import pathlib
import shutil

import keras
import numpy as np

from keras_deit.runtime.files import flush, write_whole

POINTER = "checkpoint.json"


class EpochCheckpoint(keras.callbacks.Callback):
    """Saves the state of training after every whole epoch.

    Each epoch is written to a new folder. When the whole folder is on the disk, the file `checkpoint.json` is replaced by
    one that names the folder, and the folder of the former epoch is removed. An interruption at any moment, a power cut
    included, leaves a whole checkpoint.

    Args:
        directory: Output directory of the run.
        log: `TrainingLog` of the run, which is saved too. It must come before this callback in the callbacks of `fit`.
    """

    def __init__(self, directory, log):
        super().__init__()
        self.directory = pathlib.Path(directory)
        self.log = log

    def on_epoch_end(self, epoch, logs=None):
        if self.log.last_epoch != epoch + 1:  # the epoch was interrupted
            return
        folder = self.directory / "checkpoint" / f"epoch-{epoch + 1:05d}"
        shutil.rmtree(folder, ignore_errors=True)  # left by a run that was interrupted while it wrote
        folder.mkdir(parents=True)
        self.model.save_weights(folder / "state.weights.h5")  # the optimiser's state included
        np.savez(folder / "seeds.npz", *[keras.ops.convert_to_numpy(seed) for seed in _seed_states(self.model)])
        flush(folder)
        pointer = {
            "epoch": epoch + 1,
            "folder": folder.name,
            "backend": keras.backend.backend(),
            "seconds": self.log.total_seconds,
            "history": self.log.rows,
        }
        write_whole(self.directory / POINTER, json.dumps(pointer, indent=1))
        for other in folder.parent.glob("epoch-*"):
            if other != folder:
                shutil.rmtree(other)


def restore(model, directory, log):
    """Restores a compiled model to the state after the last whole epoch of a run.

    Args:
        model: Compiled model, built as in the interrupted run.
        directory: Output directory of the run.
        log: `TrainingLog`, which receives the rows and seconds so far.

    Returns:
        Number of whole epochs so far; 0 without a checkpoint.
    """
    state = restore_model(model, directory)
    if state is None:
        return 0
    log.restore(state["history"], state["seconds"])
    return state["epoch"]


def restore_model(model, directory):
    """Restores a compiled model alone.

    Args:
        model, directory: See `restore`.

    Returns:
        Dictionary of the checkpoint's other entries; None without a checkpoint, and the model keeps its weights.
    """
    state = _read(directory)
    if state is None:
        return None
    folder = pathlib.Path(directory) / "checkpoint" / state["folder"]
    model.optimizer.build(model.trainable_variables)
    model.load_weights(folder / "state.weights.h5")
    with np.load(folder / "seeds.npz") as seeds:
        for variable, value in zip(_seed_states(model), seeds.values(), strict=True):
            variable.assign(value)
    return state


def epochs_done(directory):
    """Returns the number of whole epochs that the checkpoint of a run holds; 0 without a checkpoint."""
    state = _read(directory)
    return state["epoch"] if state else 0


def backend_of(directory):
    """Returns the name of the backend that wrote the checkpoint of a run, or None without a checkpoint."""
    state = _read(directory)
    return state["backend"] if state else None


def discard(directory):
    """Removes the checkpoint of a finished run.

    Args:
        directory: Output directory of the run.
    """
    directory = pathlib.Path(directory)
    (directory / POINTER).unlink(missing_ok=True)
    shutil.rmtree(directory / "checkpoint", ignore_errors=True)


def _read(directory):
    pointer = pathlib.Path(directory) / POINTER
    return json.loads(pointer.read_text()) if pointer.exists() else None


def _seed_states(model):
    """The states of the student's random generators, which weight files of Keras do not hold."""
    student = getattr(model, "student", model)
    return [variable for variable in student.non_trainable_variables if variable.name == "seed_generator_state"]
