"""Exports compared with their model, each in its own runtime."""

import dataclasses
import importlib.util
import pathlib

import keras
import numpy as np

from keras_deit.export import subprocess_tensorflow
from keras_deit.export.litert import to_litert
from keras_deit.export.saved_model import INPUT, OUTPUT, SIGNATURE, to_saved_model
from keras_deit.export.serving import image_shape, serving_model
from keras_deit.runtime.optional import require

WRITERS = {"saved_model": (to_saved_model, "saved_model"), "litert": (to_litert, "student.tflite")}
TOLERANCE = 1e-4  # of a logit
CHUNK = 32  # images in a call, so that any number fits into memory


@dataclasses.dataclass(frozen=True)
class Report:
    """What came of an export.

    Attributes:
        format: `"saved_model"` or `"litert"`.
        path: Where it lies.
        size: Its size in bytes.
        images: Number of images that were compared.
        largest_difference: Largest absolute difference between a logit of the model and of the export.
        agrees: Whether that is within the tolerance of 1e-4.
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


def check_formats(formats):
    """Checks that a list of formats can be exported here, before hours of training rather than after.

    Args:
        formats: Names, for example `["saved_model", "litert"]`.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If a name is unknown.

    Example:

    >>> check_formats([])
    """
    for name in formats:
        if name not in WRITERS:
            hint = " 'onnx' is not there yet." if name == "onnx" else ""
            raise ValueError(f"There is no export format {name!r}.{hint} Known formats: {', '.join(WRITERS)}.")
    if formats:
        subprocess_tensorflow.check_tensorflow()
    if "litert" in formats and importlib.util.find_spec("ai_edge_litert") is None:
        _litert()


def export(model, formats, directory, images, overwrite=False):
    """Writes a model in several formats and compares each with it.

    Args:
        model: As for `keras_deit.export.to_saved_model`.
        formats: Names, for example `["saved_model", "litert"]`.
        directory: Where to write: `saved_model/` and `student.tflite`.
        images: Array `(images, height, width, channels)`, normalised, for the comparison.
        overwrite: Whether earlier exports in `directory` are replaced.

    Returns:
        A list of `Report`, one for each format.

    Raises:
        FileExistsError: If an export exists and may not be replaced.
        ImportError: If a package is missing; the message names the extra.
        RuntimeError: If a conversion fails.
        ValueError: If a format is unknown, or model and images do not go together.

    Example:

    ```python
    for report in export(student, ["saved_model", "litert"], "runs/1", test_images[:16]):
        print(report)
    ```
    """
    check_formats(formats)
    reports = []
    for name in formats:
        write, file_name = WRITERS[name]
        path = write(model, pathlib.Path(directory, file_name), overwrite=overwrite)
        reports.append(compare(model, path, images))
    return reports


def compare(model, path, images):
    """Compares an export with its model on some images.

    The export runs in its own runtime: TensorFlow's loader (on JAX and PyTorch in a process of its own), or LiteRT's
    interpreter. The model runs in float32, as it was exported.

    Args:
        model: What was handed to `to_saved_model` or `to_litert`.
        path: What they wrote: a directory is taken as a SavedModel, a file as LiteRT.
        images: Array `(images, height, width, channels)`, normalised, of at least one image.

    Returns:
        A `Report`.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ImportError: If TensorFlow or LiteRT's interpreter is not installed; the message names the extra.
        ValueError: If the images do not fit the model.

    Example:

    ```python
    report = compare(student, "student.tflite", test_images[:16])
    assert report.largest_difference < 1e-4
    ```
    """
    path, served = pathlib.Path(path), serving_model(model)
    if not path.exists():
        raise FileNotFoundError(f"There is no export at {path}.")
    images = _as_images(images, image_shape(served))
    expected = _in_chunks(lambda chunk: keras.ops.convert_to_numpy(served(chunk, training=False)), images)
    name, run = ("saved_model", _run_saved_model_anywhere) if path.is_dir() else ("litert", run_litert)
    difference = float(np.max(np.abs(expected - run(path, images))))
    return Report(
        format=name,
        path=str(path),
        size=_size(path),
        images=len(images),
        largest_difference=difference,
        agrees=difference <= TOLERANCE,  # not so where a logit is not a number
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

    loaded = tf.saved_model.load(str(path))  # the signature lives as long as this does
    signature = loaded.signatures[SIGNATURE]
    return _in_chunks(lambda chunk: signature(**{INPUT: tf.constant(chunk)})[OUTPUT].numpy(), images)


def run_litert(path, images):
    """Runs a `.tflite` file with LiteRT's interpreter, which needs no TensorFlow.

    Args:
        path: The file.
        images: Float32 array `(images, height, width, channels)`.

    Returns:
        Array `(images, classes)` of logits.

    Raises:
        ImportError: If the interpreter is not installed.
    """
    interpreter = _litert().Interpreter(model_path=str(path))
    batch_size = interpreter.get_input_details()[0]["shape"][0]
    runner = interpreter.get_signature_runner(SIGNATURE)
    padding = -len(images) % batch_size
    padded = np.concatenate([images, np.repeat(images[-1:], padding, axis=0)])
    return _in_chunks(lambda chunk: runner(**{INPUT: chunk})[OUTPUT], padded, batch_size)[: len(images)]


def _litert():
    return require("ai_edge_litert.interpreter", extra="export", purpose="Running a LiteRT file")


def _run_saved_model_anywhere(path, images):
    in_process = keras.backend.backend() == "tensorflow"
    return (run_saved_model if in_process else subprocess_tensorflow.run_saved_model)(path, images)


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
