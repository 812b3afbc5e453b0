"""Exports in several formats at once, for a training run and for `keras-deit export`."""

import dataclasses
import importlib.util
from collections.abc import Callable

from keras_deit.export import litert, onnx, subprocess_tensorflow
from keras_deit.export.exported_model import ExportedModel
from keras_deit.export.openvino import openvino_package, to_openvino
from keras_deit.export.report import Limits, comparison, images_of, model_logits
from keras_deit.export.saved_model import to_saved_model
from keras_deit.export.serving import serving_model
from keras_deit.runtime.files import user_path
from keras_deit.runtime.optional import require

EXACT = Limits()  # of formats that compute in float32


@dataclasses.dataclass(frozen=True)
class Format:
    """A format that models are exported in.

    Attributes:
        write: Function of a model, a path and `overwrite`, which returns the path.
        file_name: Name of the file or directory.
        limits: `Limits` that an export must keep.
    """

    write: Callable
    file_name: str
    limits: Limits = EXACT


FORMATS = {
    "saved_model": Format(to_saved_model, "saved_model"),
    "litert": Format(litert.to_litert, "student.tflite"),
    "onnx": Format(onnx.to_onnx, "student.onnx"),
    "openvino": Format(to_openvino, "student.xml"),
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
        if name not in FORMATS:
            raise ValueError(f"There is no export format {name!r}. Known formats: {', '.join(FORMATS)}.")
    runtimes = {name.split(":")[0] for name in formats}
    if runtimes & {"saved_model", "litert"}:
        subprocess_tensorflow.check_tensorflow()
    if "litert" in runtimes and importlib.util.find_spec("ai_edge_litert") is None:
        require("ai_edge_litert", extra="export", purpose="Running a LiteRT file")  # raises the error
    if runtimes & {"onnx", "openvino"}:
        onnx.onnx_package()
    if "onnx" in runtimes:
        require("onnxruntime", extra="onnx", purpose="Running an ONNX file")
    if "openvino" in runtimes:
        openvino_package()


def check_model(model, formats):
    """Checks that the formats can hold a model, as `check_formats` checks packages.

    Args:
        model: The Keras model to export.
        formats: List of names, for example `["saved_model", "onnx"]`.

    Raises:
        ValueError: If LiteRT or ONNX cannot hold the model. OpenVINO's files are made from ONNX's.

    Example:

    >>> import keras_deit as kd
    >>> check_model(kd.DeiT.from_variant("deit_ti", num_layers=1), ["saved_model", "onnx"])
    """
    if "litert" in formats:
        litert.check_model(model)
    if {"onnx", "openvino"} & set(formats):
        onnx.check_model(model)


def export(model, formats, directory, images, labels=None, overwrite=False, tolerance=None):
    """Writes a model in several formats and compares each export with the model.

    Args:
        model: A model that each of the formats can hold, see `keras_deit.export`.
        formats: List of names, for example `["saved_model", "litert"]`.
        directory: The directory in which the files are written: `saved_model/`, `student.tflite` and so on, see `FORMATS`.
        images: Normalised images for the comparison, an array `(images, height, width, channels)`.
        labels: Integers `(images,)`, the right classes; -1 for an unlabelled image. None without labels.
        overwrite: Whether earlier exports in `directory` are replaced.
        tolerance: Largest accepted difference of logits in every format; None means the limits of each format.

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
    images = images_of(serving_model(model), images)
    exports = {name: ExportedModel(write(model, name, directory, overwrite)) for name in formats}
    return compare_exports(model, exports, images, labels, tolerance)


def compare_exports(model, exports, images, labels=None, tolerance=None):
    """Compares several exports with their model.

    Args:
        model, images, labels, tolerance: See `export`.
        exports: Dictionary from the names of the formats to the `ExportedModel` of each.

    Returns:
        A list of `keras_deit.export.report.Report`, one per format.

    Raises:
        ValueError: If the images do not fit the model.
    """
    served = serving_model(model)
    images = images_of(served, images)
    expected = model_logits(served, images)
    limits = {name: FORMATS[name].limits if tolerance is None else Limits(tolerance) for name in exports}
    return [comparison(expected, one, images, labels, name, limits[name]) for name, one in exports.items()]


def write(model, name, directory, overwrite=False):
    """Writes a model in one format.

    Args:
        model, directory, overwrite: See `export`.
        name: Name of the format.

    Returns:
        `pathlib.Path` of the export.
    """
    return FORMATS[name].write(model, user_path(directory) / FORMATS[name].file_name, overwrite=overwrite)
