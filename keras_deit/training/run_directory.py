"""The output directory of a run: locking it, and the files that are written into it."""

import contextlib
import dataclasses
import datetime
import importlib
import json
import math
import pathlib
import platform

import keras
import numpy as np

from keras_deit.models.pretrained import STUDENT_FILE
from keras_deit.runtime.files import replacing, write_json
from keras_deit.runtime.keras_file import load_keras_file
from keras_deit.runtime.optional import require
from keras_deit.runtime.version import __version__
from keras_deit.training.checkpoint import Checkpoints
from keras_deit.training.config_file import absolute_path, write_config
from keras_deit.training.resolve import resolve
from keras_deit.training.settings import check_names, decode_value

MAY_CHANGE = ("checkpoint_every", "keep_checkpoints", "log", "num_workers", "on_nan")  # in a resumed run
OVERHEAD = 4 * 2**20  # bytes of a weight file beside its weights, at most
CONFIG, SUMMARY, LOCK = "config.toml", "summary.json", ".lock"
BEST_FILE = "student_best.keras"


def default_directory(settings):
    """Chooses an unused directory under `runs/`, named after model, dataset and time."""
    time = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    first = pathlib.Path("runs") / f"{settings.model_name}-{pathlib.Path(settings.dataset).stem}-{time}"
    directory, number = first, 1
    while directory.exists():
        number += 1
        directory = first.with_name(f"{first.name}-{number}")
    return directory


def check_free(directory):
    """Checks that a new run may write into a directory.

    Args:
        directory: Path.

    Raises:
        ValueError: If it is a file, or holds another run or anything else.
    """
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"The output directory {str(directory)!r} is a file. Choose another --output-dir.")
    if (directory / CONFIG).exists():
        raise ValueError(
            f"The output directory {str(directory)!r} holds another run. Add --resume to continue it, or choose another "
            "--output-dir."
        )
    unfinished = (
        f".{CONFIG}-"  # beginning of the name of what a process has left that was killed while it began the run
    )
    if directory.exists() and any(
        path.name != LOCK and not path.name.startswith(unfinished) for path in directory.iterdir()
    ):
        raise ValueError(f"The output directory {str(directory)!r} is not empty. Choose another --output-dir.")


@contextlib.contextmanager
def locked(directory):
    """Locks the directory of a run against other processes.

    The directory is created; if it stays empty, it is removed again.

    Args:
        directory: Path.

    Raises:
        ValueError: If another process holds the lock.
    """
    filelock = require("filelock", extra="run", purpose="Keeping two runs out of one directory")
    directory.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(directory / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise ValueError(
            f"Another process trains in the output directory {str(directory)!r}. Wait until it ends, or "
            "choose another --output-dir."
        ) from error
    try:
        yield
    finally:
        lock.release()
        (directory / LOCK).unlink(missing_ok=True)
        if not any(directory.iterdir()):
            directory.rmdir()


def write_settings(settings, directory):
    """Writes `config.toml`, which marks the directory as the directory of a run."""
    write_config(settings, directory / CONFIG)


class CompleteRunError(ValueError):
    """A run that is to be resumed is complete."""


def settings_to_resume(directory, given):
    """Reads the settings of a run that is to be resumed.

    Args:
        directory: Output directory of the run.
        given: Dictionary of the settings that are given again; None means not given. They must agree with the run, except
            for `MAY_CHANGE` and the directory of the teacher cache, which replace those of the run.

    Returns:
        `Settings`.

    Raises:
        CompleteRunError: If the run is complete.
        ValueError: If there is no run, or the run was begun on another backend or with other settings than the given ones.
    """
    if not (directory / CONFIG).exists():
        raise ValueError(f"There is no run to resume in {str(directory)!r}: no file {CONFIG}.")
    if (directory / SUMMARY).exists() and read_summary(directory)["complete"]:
        raise CompleteRunError(
            f"The run in {str(directory)!r} is complete, so there is nothing to resume. To train its student for more "
            f"epochs, begin a new run from its weights: --config {directory / CONFIG} --weights {directory} --epochs N, "
            "without --resume and with another --output-dir. Its learning rate begins anew."
        )
    begun_on = Checkpoints(directory).facts().get("backend")
    if begun_on not in (None, keras.backend.backend()):
        raise ValueError(
            f"The run in {str(directory)!r} was begun with the backend {begun_on!r}, and another backend would draw other "
            f"random values. Received: backend={keras.backend.backend()!r}. Set KERAS_BACKEND={begun_on}."
        )
    check_names(given)
    settings = resolve({}, directory / CONFIG)
    given = {name: decode_value(name, value) for name, value in given.items() if value is not None}
    changed = {name: value for name, value in given.items() if _may_change(settings, name, value)}
    differing = [name for name, value in given.items() if name not in changed and _differs(settings, name, value)]
    if differing:
        pairs = "; ".join(f"{name}={getattr(settings, name)!r} there, {given[name]!r} here" for name in differing)
        longer = (
            f" To train for more epochs, let the run end, then begin a new run from its weights: --weights {directory}."
            if "epochs" in differing
            else ""
        )
        raise ValueError(
            f"--resume continues with the settings of {directory / CONFIG}, and these differ: {pairs}. Leave the options "
            f"out, or start a new run with another --output-dir.{longer}"
        )
    return dataclasses.replace(settings, **changed)


def _may_change(settings, name, value):
    """Whether a resumed run may have another value: of the teacher cache another directory, whose content is the same."""
    return name in MAY_CHANGE or (name == "teacher_cache" and None not in (value, settings.teacher_cache))


def _differs(settings, name, value):
    return absolute_path(name, value) != absolute_path(name, getattr(settings, name))


def save_student(student, directory):
    """Writes `student.keras` and `student.weights.h5`, each whole or not at all."""
    with replacing(directory / STUDENT_FILE, _size_of(student)) as temporary:
        student.save(temporary)
    with replacing(directory / "student.weights.h5", _size_of(student)) as temporary:
        student.save_weights(temporary)


def save_best(student, directory):
    """Writes `student_best.keras`, whole or not at all."""
    with replacing(directory / BEST_FILE, _size_of(student)) as temporary:
        student.save(temporary)


def load_student(directory):
    """Loads the student of a finished run."""
    return load_keras_file(directory / STUDENT_FILE)


def read_summary(directory):
    """Reads `summary.json` as a dictionary."""
    return json.loads((directory / SUMMARY).read_text(encoding="utf-8"))


def save_average(student, directory):
    """Writes `student_average.weights.h5`, whole or not at all."""
    with replacing(directory / "student_average.weights.h5", _size_of(student)) as temporary:
        student.save_weights(temporary)


def _size_of(model):
    """Size of the weight file of a model in bytes, approximately."""
    return sum(math.prod(weight.shape) * np.dtype("float32").itemsize for weight in model.weights) + OVERHEAD


def write_summary(summary, directory):
    """Writes `summary.json`."""
    write_json(directory / SUMMARY, summary)


def versions():
    """Returns the versions of the packages that determine the figures of a run, by name."""
    backend = keras.backend.backend()
    return {
        "keras_deit": __version__,
        "python": platform.python_version(),
        "keras": keras.version(),
        "backend": backend,
        backend: importlib.import_module(
            backend
        ).__version__,  # not by its package, whose name may differ (tensorflow-cpu)
        "numpy": np.__version__,
        "platform": platform.platform(),
    }
