"""Compares an export with its model: the export runs in its own runtime, the model in Keras."""

import dataclasses

import keras
import numpy as np

from keras_deit.export import subprocess_tensorflow
from keras_deit.export.saved_model import INPUT, OUTPUT, SIGNATURE
from keras_deit.export.serving import image_shape, serving_model
from keras_deit.runtime.files import user_path
from keras_deit.runtime.optional import require

TOLERANCE = 1e-4  # largest accepted difference between two logits
CHUNK = 32  # images per call, so that any number of images fits into memory


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of comparing an export with its model. As a string, it is one line of text.

    Attributes:
        format: `"saved_model"`, `"litert"` or `"onnx"`.
        path: Path of the export, a string.
        size: Size of the export in bytes.
        images: Number of images that were compared.
        largest_difference: Largest absolute difference between a logit of the model and of the export.
        agrees: Whether `largest_difference` is at most 1e-4.
    """

    format: str
    path: str
    size: int
    images: int
    largest_difference: float
    agrees: bool

    def __str__(self):
        line = (
            f"{self.path} ({self.format}, {self.size / 1e6:.1f} MB): "
            f"logits of {self.images} images differ by at most {self.largest_difference:.1e}"
        )
        return line if self.agrees else f"{line}, MORE THAN {TOLERANCE}: do not use this export"


def compare(model, path, images):
    """Compares the logits of an export and of its model on some images.

    The export runs in its own runtime: TensorFlow's loader (on JAX and PyTorch in a child process), LiteRT's interpreter, or
    ONNX Runtime on the CPU. The model runs in float32, the precision of the export.

    Args:
        model: The model that was exported.
        path: The export: the directory of a SavedModel, an ONNX file whose name ends in `.onnx`, or a LiteRT file.
        images: At least one normalised image, as an array `(images, height, width, channels)`.

    Returns:
        A `keras_deit.export.report.Report`, with the attributes `largest_difference` and `agrees`, among others.

    Raises:
        FileNotFoundError: If `path` does not exist.
        ImportError: If TensorFlow, LiteRT's interpreter or ONNX Runtime is not installed; the message names the extra.
        ValueError: If the images do not fit the model.

    Example:

    ```python
    report = kd.export.compare(student, "student.tflite", test_images[:16])
    assert report.largest_difference < 1e-4
    ```
    """
    path, served = user_path(path), serving_model(model)
    if not path.exists():
        raise FileNotFoundError(f"There is no export at {path}.")
    images = _as_images(images, image_shape(served))
    expected = _in_chunks(lambda chunk: keras.ops.convert_to_numpy(served(chunk, training=False)), images)
    name, run = _runtime(path)
    difference = float(np.max(np.abs(expected - run(path, images))))
    return Report(
        format=name,
        path=str(path),
        size=_size(path),
        images=len(images),
        largest_difference=difference,
        agrees=difference <= TOLERANCE,  # false if a logit is NaN
    )


def run_saved_model(path, images):
    """Runs a SavedModel on the TensorFlow backend.

    Args:
        path: Directory of the SavedModel.
        images: Float32 array `(images, height, width, channels)`.

    Returns:
        Array `(images, classes)` of logits.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))  # the signature needs this object to stay alive
    signature = loaded.signatures[SIGNATURE]
    return _in_chunks(lambda chunk: signature(**{INPUT: tf.constant(chunk)})[OUTPUT].numpy(), images)


def run_litert(path, images):
    """Runs a `.tflite` file in LiteRT's interpreter, which does not need TensorFlow.

    Args:
        path: The file.
        images: Float32 array `(images, height, width, channels)`.

    Returns:
        Array `(images, classes)` of logits.

    Raises:
        ImportError: If the interpreter is not installed.
    """
    interpreter = litert_interpreter().Interpreter(model_path=str(path))
    batch_size = interpreter.get_input_details()[0]["shape"][0]
    runner = interpreter.get_signature_runner(SIGNATURE)
    padding = -len(images) % batch_size
    padded = np.concatenate([images, np.repeat(images[-1:], padding, axis=0)])
    return _in_chunks(lambda chunk: runner(**{INPUT: chunk})[OUTPUT], padded, batch_size)[: len(images)]


def run_onnx(path, images):
    """Runs an ONNX file in ONNX Runtime, on the CPU.

    Args:
        path: The file.
        images: Float32 array `(images, height, width, channels)`.

    Returns:
        Array `(images, classes)` of logits.

    Raises:
        ImportError: If ONNX Runtime is not installed.
    """
    session = onnx_runtime().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return _in_chunks(lambda chunk: session.run([OUTPUT], {INPUT: chunk})[0], images)


def onnx_runtime():
    """Imports ONNX Runtime.

    Returns:
        The module `onnxruntime`.

    Raises:
        ImportError: If ONNX Runtime is not installed; the message names the extra.
    """
    return require("onnxruntime", extra="onnx", purpose="Running an ONNX file")


def litert_interpreter():
    """Imports the module of LiteRT's interpreter.

    Returns:
        The module.

    Raises:
        ImportError: If the interpreter is not installed; the message names the extra.
    """
    return require("ai_edge_litert.interpreter", extra="export", purpose="Running a LiteRT file")


def _runtime(path):
    """Returns the name of an export's format and the function that runs the export."""
    if path.is_dir():
        return "saved_model", _run_saved_model_anywhere
    return ("onnx", run_onnx) if path.suffix == ".onnx" else ("litert", run_litert)


def _run_saved_model_anywhere(path, images):
    if keras.backend.backend() == "tensorflow":
        return run_saved_model(path, images)
    return subprocess_tensorflow.run_saved_model(path, images)


def _as_images(images, shape):
    images = np.asarray(keras.ops.convert_to_numpy(images), "float32")
    fits = images.ndim == 4 and all(size in (None, got) for size, got in zip(shape, images.shape[1:], strict=True))
    if not fits or not len(images):
        raise ValueError(
            f"Expected at least one image of shape {shape}, in an array (images, height, width, channels). "
            f"Received: an array of shape {images.shape}"
        )
    return images


def _in_chunks(run, images, size=CHUNK):
    return np.concatenate([run(images[start : start + size]) for start in range(0, len(images), size)])


def _size(path):
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
