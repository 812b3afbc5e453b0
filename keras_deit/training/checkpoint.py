"""The state of a run as files, from which the run continues at the very step."""

import contextlib
import json
import pathlib
import shutil

import keras
import numpy as np

from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.files import remove_abandoned, replacing

FOLDER = "checkpoints"
FACTS = "facts"  # name of the JSON text among the arrays of a file
OVERHEAD = 2**20  # bytes of a file beside the values of its arrays, at most


class Checkpoints:
    """The checkpoints of a run: a folder with one file for each, named by the number of steps since the beginning.

    A file is a NumPy archive of the state (weights, optimizer with its moving average and schedule, random generators,
    metrics) and of a JSON text with the facts about the run. An archive has a checksum for each of its members.

    Args:
        directory: Output directory of the run.
        keep: Number of checkpoints to keep.
    """

    def __init__(self, directory, keep=2):
        self.folder = pathlib.Path(directory) / FOLDER
        self.keep = keep

    def paths(self):
        """List of the paths of the checkpoints, the newest first."""
        return sorted(self.folder.glob("step-*.npz"), reverse=True)

    def write(self, step, state, facts):
        """Writes a checkpoint, whole or not at all, then removes the oldest ones, and those of later steps.

        There are later steps if the images have changed since, and an epoch now has fewer steps.

        Args:
            step: Number of steps since the beginning of the run.
            state: Dictionary of arrays, see `state_of`.
            facts: Dictionary that JSON can represent.

        Raises:
            DiskFullError: If there is not enough space. The earlier checkpoints are kept.
        """
        path = self.folder / f"step-{step:09d}.npz"
        with replacing(path, sum(values.nbytes for values in state.values()) + OVERHEAD) as temporary:
            np.savez(temporary, **state, **{FACTS: np.array(json.dumps(facts))})
        paths = self.paths()
        index = paths.index(path)
        for other in paths[:index] + paths[index + self.keep :]:
            other.unlink(missing_ok=True)

    def newest(self):
        """Reads the newest whole checkpoint. Damaged ones are set aside with a warning: their names get another ending.

        What a killed process has left of a checkpoint that it was writing is removed.

        Returns:
            `(state, facts)` as given to `write`; None without a whole checkpoint.
        """
        remove_abandoned(self.folder)
        for path in self.paths():
            try:
                return _read(path)
            except (PermissionError, MemoryError):
                raise
            except Exception as error:  # of zipfile, zlib, NumPy or JSON, depending on the byte that is wrong
                path.replace(path.with_suffix(".damaged"))
                warn_caller(
                    f"The checkpoint {str(path)!r} is damaged ({error}). It was renamed to {path.stem}.damaged; the run "
                    "continues from the one before, or from its beginning if there is none."
                )
        return None

    def facts(self):
        """The facts of the newest checkpoint whose facts can be read; an empty dictionary without one."""
        for path in self.paths():
            with contextlib.suppress(Exception), np.load(path, allow_pickle=False) as archive:  # see `newest`
                return json.loads(str(archive[FACTS]))
        return {}

    def discard(self):
        """Removes the checkpoints of a finished run."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _read(path):
    with np.load(path, allow_pickle=False) as archive:
        state = dict(archive)
    return state, json.loads(str(state.pop(FACTS)))


def state_of(model):
    """Copies the state of a compiled model.

    Args:
        model: Compiled and built model, or a `Distiller`, whose teacher is left out.

    Returns:
        Dictionary from names to arrays.
    """
    model.optimizer.build(model.trainable_variables)
    return {
        f"{kind}-{index:05d}": np.array(keras.ops.convert_to_numpy(variable))  # a copy: PyTorch's arrays share memory
        for kind, variables in _variables(model).items()
        for index, variable in enumerate(variables)
    }


def restore_state(model, state):
    """Restores a compiled model. Its metrics begin anew with the next epoch, unless `restore_metrics` is called then.

    Args:
        model: Compiled model, built as the one that was saved.
        state: Dictionary of `state_of`.

    Raises:
        ValueError: If the state is that of another model.
    """
    model.optimizer.build(model.trainable_variables)
    _assign(model, state, ("student", "optimizer"))
    if _num(state, "scale") == len(_variables(model)["scale"]):  # `on_nan` may have changed
        _assign(model, state, ("scale",))


def restore_metrics(model, state):
    """Restores the metrics of a model after Keras has reset them, which it does at the beginning of an epoch."""
    _assign(model, state, ("metrics",))


def metrics_of(state):
    """The part of a state that `restore_metrics` needs, without the weights."""
    return {name: values for name, values in state.items() if _kind(name) == "metrics"}


def is_finite(state):
    """Returns whether the weights of a state are finite."""
    return all(
        np.isfinite(values).all() for name, values in state.items() if _kind(name) == "student" and _is_float(values)
    )


def _assign(model, state, kinds):
    for kind, variables in _variables(model).items():
        if kind not in kinds:
            continue
        values = [state[name] for name in sorted(state) if _kind(name) == kind]
        shapes = [value.shape for value in values], [tuple(variable.shape) for variable in variables]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"The checkpoint is of another model: its {kind} has {len(values)} variables, and {len(variables)} are "
                "expected, or their shapes differ. Resume with the versions of Keras and keras_deit that began the run."
            )
        for variable, value in zip(variables, values, strict=True):
            is_raw = value.dtype.kind == "V"  # NumPy's files have no bfloat16
            variable.assign(value.view(keras.ops.convert_to_numpy(variable).dtype) if is_raw else value)


def _num(state, kind):
    return sum(_kind(name) == kind for name in state)


def _variables(model):
    student = getattr(model, "student", model)
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    return {
        "student": student.trainable_variables + student.non_trainable_variables,  # random generators included
        "optimizer": inner.variables,
        "scale": model.optimizer.variables[: len(model.optimizer.variables) - len(inner.variables)],
        "metrics": model.metrics_variables,
    }


def _kind(name):
    return name.partition("-")[0]


def _is_float(values):
    return values.dtype.kind == "f"
