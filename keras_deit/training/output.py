"""The output directory of a run: claiming it, and what is written at the end."""

import contextlib
import datetime
import importlib
import json
import pathlib
import platform

import keras
import numpy as np

from keras_deit.runtime.files import replacing, write_whole
from keras_deit.runtime.optional import require
from keras_deit.runtime.version import __version__
from keras_deit.training import checkpoint
from keras_deit.training.settings import decode_value, resolve, write_config

CONFIG, SUMMARY, LOCK = "config.toml", "summary.json", ".lock"


def default_directory(settings):
    """A name under `runs/` for a fresh directory, of variant, dataset and time, that no other run has."""
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
        ValueError: If it holds another run, or anything else.
    """
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"The output directory {str(directory)!r} is a file. Choose another --output-dir.")
    if (directory / CONFIG).exists():
        raise ValueError(
            f"The output directory {str(directory)!r} holds another run. Add --resume to go on with it, or choose another "
            "--output-dir."
        )
    if directory.exists() and any(path.name != LOCK for path in directory.iterdir()):
        raise ValueError(f"The output directory {str(directory)!r} is not empty. Choose another --output-dir.")


@contextlib.contextmanager
def held(directory):
    """Keeps every other process out of a run's directory, which is made, and removed again where it stays empty.

    Args:
        directory: Path.

    Raises:
        ValueError: If another process is at work there.
    """
    filelock = require("filelock", extra="run", purpose="Keeping two runs out of one directory")
    directory.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(directory / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise ValueError(
            f"Another run is at work in {str(directory)!r}. Wait for its end, or choose another --output-dir."
        ) from error
    try:
        yield
    finally:
        lock.release()
        (directory / LOCK).unlink(missing_ok=True)
        if not any(directory.iterdir()):
            directory.rmdir()


def write_settings(settings, directory):
    """Writes `config.toml`, which makes the directory that of this run."""
    write_config(settings, directory / CONFIG)


def settings_to_resume(directory, command_line):
    """The settings of a run that is to be gone on with.

    Args:
        directory: The run's output directory.
        command_line: What was given on the command line; it must not contradict the run.

    Returns:
        `Settings`.

    Raises:
        ValueError: If there is no run, it is complete, it was begun on another backend, or the command line
            contradicts it.
    """
    if not (directory / CONFIG).exists():
        raise ValueError(f"There is no run to resume in {str(directory)!r}: no file {CONFIG}.")
    if (directory / SUMMARY).exists() and json.loads((directory / SUMMARY).read_text())["complete"]:
        raise ValueError(f"The run in {str(directory)!r} is complete; see {SUMMARY}. There is nothing to resume.")
    begun_on = checkpoint.backend_of(directory)
    if begun_on not in (None, keras.backend.backend()):
        raise ValueError(
            f"The run in {str(directory)!r} was begun on {begun_on}, whose random numbers are its own, and this is "
            f"{keras.backend.backend()}. Set KERAS_BACKEND={begun_on}."
        )
    settings = resolve({}, directory / CONFIG)
    for name, value in command_line.items():
        if value is not None and decode_value(name, value) != getattr(settings, name):
            raise ValueError(
                f"--resume goes on with the settings of {directory / CONFIG}, and the command line differs: "
                f"{name}={value!r} instead of {getattr(settings, name)!r}. Leave the option out, or start a new run with "
                "another --output-dir."
            )
    return settings


def save_student(student, directory):
    """Writes `student.keras` and `student.weights.h5`, each whole or not at all."""
    with replacing(directory / "student.keras") as temporary:
        student.save(temporary)
    with replacing(directory / "student.weights.h5") as temporary:
        student.save_weights(temporary)


def save_average(student, directory):
    """Writes `student_average.weights.h5`, whole or not at all."""
    with replacing(directory / "student_average.weights.h5") as temporary:
        student.save_weights(temporary)


def write_summary(summary, directory):
    """Writes `summary.json`; a number that is not finite, which JSON does not have, as null."""
    finite = keras.tree.map_structure(
        lambda value: None if isinstance(value, float) and not np.isfinite(value) else value, summary, none_is_leaf=True
    )
    write_whole(directory / SUMMARY, json.dumps(finite, indent=2, allow_nan=False) + "\n")


def versions():
    """Versions of what determines the numbers of a run, by name."""
    backend = keras.backend.backend()
    return {
        "keras_deit": __version__,
        "python": platform.python_version(),
        "keras": keras.version(),
        "backend": backend,
        backend: importlib.import_module(backend).__version__,  # the package may have another name, as tensorflow-cpu
        "numpy": np.__version__,
        "platform": platform.platform(),
    }
