"""The output directory of a run: claiming it, and what is written at the end."""

import datetime
import json
import pathlib
import platform
import resource
import sys
from importlib import metadata

import keras
import numpy as np

import keras_deit
from keras_deit.files import replacing, write_whole
from keras_deit.training.settings import read_config, resolve, write_config

CONFIG, SUMMARY = "config.toml", "summary.json"


def default_directory(settings):
    """A fresh directory under `runs/`, named for variant, dataset and time."""
    time = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return pathlib.Path("runs") / f"{settings.variant}-{settings.dataset}-{time}"


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
    if directory.exists() and any(directory.iterdir()):
        raise ValueError(f"The output directory {str(directory)!r} is not empty. Choose another --output-dir.")


def claim(directory, settings):
    """Makes the directory of a new run and writes its `config.toml`."""
    directory.mkdir(parents=True, exist_ok=True)
    write_config(settings, directory / CONFIG)


def settings_to_resume(directory, command_line):
    """The settings of a run that is to be gone on with.

    Args:
        directory: The run's output directory.
        command_line: What was given on the command line; it must not contradict the run.

    Returns:
        `Settings`.

    Raises:
        ValueError: If there is no run, it is complete, or the command line contradicts it.
    """
    if not (directory / CONFIG).exists():
        raise ValueError(f"There is no run to resume in {str(directory)!r}: no file {CONFIG}.")
    if (directory / SUMMARY).exists() and json.loads((directory / SUMMARY).read_text())["complete"]:
        raise ValueError(f"The run in {str(directory)!r} is complete; see {SUMMARY}. There is nothing to resume.")
    settings = resolve({}, directory / CONFIG)
    written = read_config(directory / CONFIG)
    for name, value in command_line.items():
        value = list(value) if isinstance(value, tuple) else value
        if value is not None and value != written.get(name):
            raise ValueError(
                f"--resume goes on with the settings of {directory / CONFIG}, and the command line differs: "
                f"{name}={value!r} instead of {written.get(name)!r}. Leave the option out, or start a new run with "
                "another --output-dir."
            )
    return settings


def save_student(student, directory):
    """Writes `student.keras` and `student.weights.h5`, each whole or not at all."""
    with replacing(directory / "student.keras") as temporary:
        student.save(temporary)
    with replacing(directory / "student.weights.h5") as temporary:
        student.save_weights(temporary)


def write_summary(summary, directory):
    """Writes `summary.json`."""
    write_whole(directory / SUMMARY, json.dumps(summary, indent=2) + "\n")


def versions():
    """Versions of what determines the numbers of a run, by name."""
    backend = keras.backend.backend()
    return {
        "keras_deit": keras_deit.__version__,
        "python": platform.python_version(),
        "keras": keras.version(),
        "backend": backend,
        backend: metadata.version(backend),
        "numpy": np.__version__,
        "platform": platform.platform(),
    }


def peak_memory():
    """Largest memory used so far in bytes: of the GPU where there is one, else of the process."""
    on_gpu = _GPU_PEAKS[keras.backend.backend()]()
    if on_gpu is not None:
        return on_gpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kilobytes


def _tensorflow_gpu_peak():
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    return sum(tf.config.experimental.get_memory_info(gpu.name[-5:])["peak"] for gpu in gpus) if gpus else None


def _jax_gpu_peak():
    import jax

    statistics = [device.memory_stats() for device in jax.local_devices() if device.platform != "cpu"]
    return sum(entry["peak_bytes_in_use"] for entry in statistics if entry) if statistics else None


def _torch_gpu_peak():
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


_GPU_PEAKS = {"tensorflow": _tensorflow_gpu_peak, "jax": _jax_gpu_peak, "torch": _torch_gpu_peak}
