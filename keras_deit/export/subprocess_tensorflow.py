"""TensorFlow in a process of its own, for the backends that cannot do its part."""

import importlib.util
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from keras_deit.runtime.child_process import child_environment
from keras_deit.runtime.optional import require


def check_tensorflow():
    """Says which extra to install when TensorFlow is missing, without importing it.

    Raises:
        ImportError: If TensorFlow is not installed.
    """
    if importlib.util.find_spec("tensorflow") is None:
        require("tensorflow", extra="export", purpose="Exporting to SavedModel or LiteRT")


def write(writer, model, path, *arguments):
    """Writes a model in a process that runs TensorFlow.

    Args:
        writer: `"saved_model"` or `"litert"`.
        model: The Keras model, of any backend.
        path: Where to write.
        *arguments: What it takes beside model and path.

    Raises:
        ImportError: If TensorFlow is not installed.
        RuntimeError: If the process fails; the message holds its error output.
    """
    check_tensorflow()
    with tempfile.TemporaryDirectory() as directory:
        saved = pathlib.Path(directory, "model.keras")
        model.save(saved)
        _run(writer, saved, path, *arguments)


def run_saved_model(path, images):
    """Runs a SavedModel in a process of its own.

    Args:
        path: Directory of the SavedModel.
        images: Float32 array `(images, height, width, channels)`.

    Returns:
        Array `(images, classes)` of logits.

    Raises:
        ImportError: If TensorFlow is not installed.
        RuntimeError: If the process fails; the message holds its error output.
    """
    check_tensorflow()
    with tempfile.TemporaryDirectory() as directory:
        questions, answers = pathlib.Path(directory, "images.npy"), pathlib.Path(directory, "logits.npy")
        np.save(questions, images)
        _run("run", path, questions, answers)
        return np.load(answers)


def _run(*arguments):
    command = [sys.executable, "-m", "keras_deit.export", *map(str, arguments)]
    result = subprocess.run(command, env=_environment(), capture_output=True, text=True, errors="replace")
    if result.returncode:
        raise RuntimeError(
            f"The TensorFlow process that does the export's part failed with exit status {result.returncode}. "
            f"The end of its error output:\n{result.stderr[-4000:].strip()}"
        )


def _environment():
    # The backend that trains holds the GPU's memory, so the child process gets no GPU.
    environment = child_environment("tensorflow", CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
    environment.pop("XLA_FLAGS", None)  # meant for the other backend; TensorFlow aborts on flags that it does not know
    return environment
