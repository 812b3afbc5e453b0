"""TensorFlow in a child process, for exports from the other backends."""

import importlib.util
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from keras_deit.runtime.child_process import child_environment
from keras_deit.runtime.optional import require


def check_tensorflow():
    """Checks that TensorFlow is installed, without importing it.

    Raises:
        ImportError: If TensorFlow is not installed; the message names the extra.
    """
    if importlib.util.find_spec("tensorflow") is None:
        require("tensorflow", extra="export", purpose="Exporting to SavedModel or LiteRT")


def write(writer, model, path, *arguments):
    """Exports a model in a child process that runs TensorFlow.

    Args:
        writer: `"saved_model"` or `"litert"`.
        model: The Keras model, on any backend.
        path: The file or directory to write.
        *arguments: Further arguments of the writer: for `"litert"`, the batch size.

    Raises:
        ImportError: If TensorFlow is not installed.
        RuntimeError: If the process fails; the message contains its error output.
    """
    check_tensorflow()
    with tempfile.TemporaryDirectory() as directory:
        saved = pathlib.Path(directory, "model.keras")
        model.save(saved)
        _run(writer, saved, path, *arguments)


def run_saved_model(path, images):
    """Runs a SavedModel in a child process that runs TensorFlow.

    Args:
        path: Directory of the SavedModel.
        images: Float32 array `(images, height, width, channels)`.

    Returns:
        Array `(images, classes)` of logits.

    Raises:
        ImportError: If TensorFlow is not installed.
        RuntimeError: If the process fails; the message contains its error output.
    """
    check_tensorflow()
    with tempfile.TemporaryDirectory() as directory:
        images_path, logits_path = pathlib.Path(directory, "images.npy"), pathlib.Path(directory, "logits.npy")
        np.save(images_path, images)
        _run("run", path, images_path, logits_path)
        return np.load(logits_path)


def _run(*arguments):
    command = [sys.executable, "-m", "keras_deit.export", *map(str, arguments)]
    result = subprocess.run(command, env=_environment(), capture_output=True, text=True, errors="replace")
    if result.returncode:
        raise RuntimeError(
            f"The child process that runs TensorFlow for the export failed with exit status {result.returncode}. "
            f"The end of its error output:\n{result.stderr[-4000:].strip()}"
        )


def _environment():
    # The training backend holds the GPU's memory, so the child process gets no GPU.
    environment = child_environment("tensorflow", CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
    environment.pop("XLA_FLAGS", None)  # set for the other backend; TensorFlow aborts on flags that it does not know
    return environment
