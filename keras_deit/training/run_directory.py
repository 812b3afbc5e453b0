"""The output directory of a run: locking it, and the files that are written into it."""

import contextlib
import datetime
import importlib
import json
import pathlib
import platform

import keras
import numpy as np

from keras_deit.models.pretrained import STUDENT_FILE
from keras_deit.runtime.files import replacing, write_whole
from keras_deit.runtime.optional import require
from keras_deit.runtime.version import __version__
from keras_deit.training import checkpoint
from keras_deit.training.config_file import absolute_path, write_config
from keras_deit.training.resolve import resolve
from keras_deit.training.settings import check_names, decode_value

CONFIG, SUMMARY, LOCK = "config.toml", "summary.json", ".lock"


def default_directory(settings):
    """Chooses an unused directory under `runs/`, named after variant, dataset and time."""
    time = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    first = pathlib.Path("runs") / f"{settings.variant}-{pathlib.Path(settings.dataset).stem}-{time}"
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
    if directory.exists() and any(path.name != LOCK for path in directory.iterdir()):
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


def settings_to_resume(directory, command_line):
    """Reads the settings of a run that is to be resumed.

    Args:
        directory: Output directory of the run.
        command_line: Dictionary of the settings on the command line; None means not given. They must agree with the run.

    Returns:
        `Settings`.

    Raises:
        ValueError: If there is no run, or the run is complete, was begun on another backend or has other settings than the
            command line.
    """
    if not (directory / CONFIG).exists():
        raise ValueError(f"There is no run to resume in {str(directory)!r}: no file {CONFIG}.")
    if (directory / SUMMARY).exists() and json.loads((directory / SUMMARY).read_text())["complete"]:
        raise ValueError(
            f"The run in {str(directory)!r} is complete, so there is nothing to resume. To train its student for more "
            f"epochs, begin a new run from its weights: --config {directory / CONFIG} --weights {directory} --epochs N, "
            "without --resume and with another --output-dir. Its learning rate begins anew."
        )
    begun_on = checkpoint.backend_of(directory)
    if begun_on not in (None, keras.backend.backend()):
        raise ValueError(
            f"The run in {str(directory)!r} was begun with the backend {begun_on!r}, and another backend would draw other "
            f"random values. Received: backend={keras.backend.backend()!r}. Set KERAS_BACKEND={begun_on}."
        )
    check_names(command_line)
    settings = resolve({}, directory / CONFIG)
    for name, value in command_line.items():
        if value is None or absolute_path(name, decode_value(name, value)) == absolute_path(
            name, getattr(settings, name)
        ):
            continue
        longer = (
            f" To train for more epochs, let the run end, then begin a new run from its weights: --weights {directory}."
            if name == "epochs"
            else ""
        )
        raise ValueError(
            f"--resume continues with the settings of {directory / CONFIG}, which has {name}={getattr(settings, name)!r}. "
            f"Received: {name}={value!r}. Leave the option out, or start a new run with another --output-dir.{longer}"
        )
    return settings


def save_student(student, directory):
    """Writes `student.keras` and `student.weights.h5`, each whole or not at all."""
    with replacing(directory / STUDENT_FILE) as temporary:
        student.save(temporary)
    with replacing(directory / "student.weights.h5") as temporary:
        student.save_weights(temporary)


def save_average(student, directory):
    """Writes `student_average.weights.h5`, whole or not at all."""
    with replacing(directory / "student_average.weights.h5") as temporary:
        student.save_weights(temporary)


def write_summary(summary, directory):
    """Writes `summary.json`. JSON has no infinite numbers and no NaN; they are written as null."""
    finite = keras.tree.map_structure(
        lambda value: None if isinstance(value, float) and not np.isfinite(value) else value, summary, none_is_leaf=True
    )
    write_whole(directory / SUMMARY, json.dumps(finite, indent=2, allow_nan=False) + "\n")


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
