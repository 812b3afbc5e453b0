"""Exports in several formats at once, for a training run."""

import importlib.util

from keras_deit.export import onnx, subprocess_tensorflow
from keras_deit.export.litert import to_litert
from keras_deit.export.report import compare, litert_interpreter, onnx_runtime
from keras_deit.export.saved_model import to_saved_model
from keras_deit.runtime.files import user_path

WRITERS = {  # the function that writes each format, and the name of the file or directory
    "saved_model": (to_saved_model, "saved_model"),
    "litert": (to_litert, "student.tflite"),
    "onnx": (onnx.to_onnx, "student.onnx"),
}


def check_formats(formats):
    """Checks that models can be exported in the given formats, so that a run can fail before hours of training.

    Args:
        formats: List of names, for example `["saved_model", "litert"]`.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If a name is unknown.

    Example:

    >>> check_formats([])
    """
    for name in formats:
        if name not in WRITERS:
            raise ValueError(f"There is no export format {name!r}. Known formats: {', '.join(WRITERS)}.")
    if "saved_model" in formats or "litert" in formats:
        subprocess_tensorflow.check_tensorflow()
    if "litert" in formats and importlib.util.find_spec("ai_edge_litert") is None:
        litert_interpreter()  # raises the error that names the extra
    if "onnx" in formats:
        onnx.onnx_package()
        onnx_runtime()


def check_model(model, formats):
    """Checks that ONNX can hold a model if it is among the formats, so that a run can fail before hours of training.

    Args:
        model: The Keras model to export.
        formats: List of names, for example `["saved_model", "onnx"]`.

    Raises:
        ValueError: If ONNX cannot hold the model.

    Example:

    >>> import keras_deit as kd
    >>> check_model(kd.DeiT.from_variant("deit_ti", num_layers=1), ["saved_model", "onnx"])
    """
    if "onnx" in formats:
        onnx.check_model(model)


def export(model, formats, directory, images, overwrite=False):
    """Writes a model in several formats and compares each export with the model.

    Args:
        model: A model that each of the formats can hold, see `keras_deit.export`.
        formats: List of names, for example `["saved_model", "litert"]`.
        directory: The directory in which `saved_model/`, `student.tflite` and `student.onnx` are written.
        images: Normalised images for the comparison, an array `(images, height, width, channels)`.
        overwrite: Whether earlier exports in `directory` are replaced.

    Returns:
        A list of `keras_deit.export.report.Report`, one per format.

    Raises:
        FileExistsError: If an export exists and `overwrite` is false.
        ImportError: If a package is missing; the message names the extra.
        RuntimeError: If a conversion fails.
        ValueError: If a format is unknown or cannot hold the model, or the images do not fit the model.

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
        path = write(model, user_path(directory) / file_name, overwrite=overwrite)
        reports.append(compare(model, path, images))
    return reports
