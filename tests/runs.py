"""Runs of `keras-deit train` that take seconds."""

import contextlib
import dataclasses
import io
import json

import keras
import pytest

from keras_deit.cli import main
from keras_deit.models.variants import VARIANTS
from keras_deit.training import loop

SHORT_VARIANT = "deit_short"
ON_ONE_DEVICE = ["--strategy", "none"]  # compiling for the two devices of the tests takes longer
SHORT = ["--variant", SHORT_VARIANT, "--epochs", "2", "--steps-per-epoch", "2", "--batch-size", "8", *ON_ONE_DEVICE]
SHORTEST = ["--variant", SHORT_VARIANT, "--epochs", "1", "--steps-per-epoch", "1", "--batch-size", "8", *ON_ONE_DEVICE]
LEARNING = [  # long enough for predictions that differ from image to image
    *("--variant", SHORT_VARIANT, "--epochs", 1, "--steps-per-epoch", 30, "--learning-rate", 0.003, *ON_ONE_DEVICE)
]


def need_run_packages():
    """Skips a test module if a package is missing that every run needs."""
    for package in ("filelock", "sklearn", "matplotlib", "tomli_w", "tqdm"):
        pytest.importorskip(package, reason=f"a run needs {package}")


def add_short_variant(patch):
    """Adds a DeiT-Ti of one block to the variants: most of the time of a short run is that of compiling the blocks.

    Args:
        patch: `pytest.MonkeyPatch`.
    """
    tiny = VARIANTS["deit_ti"]
    patch.setitem(VARIANTS, SHORT_VARIANT, dataclasses.replace(tiny, arguments={**tiny.arguments, "num_layers": 1}))


def leave_report_out(patch):
    """Leaves out the report of runs and what is measured for it in each epoch: compiling both takes longer than a short run.

    Args:
        patch: `pytest.MonkeyPatch`.
    """
    patch.setattr(loop, "write_at_end", lambda run, summary, history: None)
    patch.setattr(loop, "measures_of", lambda run: [])


def train(*arguments):
    """Runs `keras-deit train`; returns the exit status."""
    return main(["train", *map(str, arguments)])


def train_printed(*arguments):
    """Runs `keras-deit train`; returns the exit status and the text that it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = train(*arguments)
    return status, printed.getvalue()


def summary_of(directory):
    """Reads `summary.json` of a run."""
    return json.loads((directory / "summary.json").read_text())


def student_of(directory):
    """Loads `student.keras` of a run."""
    return keras.saving.load_model(directory / "student.keras", compile=False)


def weights_of(directory):
    """Weights of `student.keras` of a run."""
    return student_of(directory).get_weights()


def num_replicas_of(model):
    """Number of devices that really share a batch."""
    if keras.backend.backend() == "tensorflow":
        return model.distribute_strategy.num_replicas_in_sync
    distribution = keras.distribution.distribution() if keras.backend.backend() == "jax" else None
    return distribution.device_mesh.shape[0] if distribution else 1
