"""Exports in several formats at once, for a training run and for `keras-deit export`."""

import dataclasses
import functools
import importlib.util
from collections.abc import Callable

from keras_deit.export import litert, onnx, subprocess_tensorflow
from keras_deit.export.exported_model import ExportedModel
from keras_deit.export.litert_quantization import quantizer_package
from keras_deit.export.openvino import openvino_package, to_openvino
from keras_deit.export.report import LIMITS, Limits, comparison, images_of, model_logits
from keras_deit.export.saved_model import to_saved_model
from keras_deit.export.serving import serving_model
from keras_deit.export.signatures import INPUTS, NORMALIZED, PIXELS
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.runtime.files import user_path
from keras_deit.runtime.optional import require

CALIBRATION_IMAGES = 128


@dataclasses.dataclass(frozen=True)
class Format:
    """A format that models are exported in.

    Attributes:
        write: Function of a model, a path, `overwrite` and further arguments, which returns the path.
        file_name: Name of the file or directory.
        limits: `Limits` that an export must keep.
        inputs: What the exported model can take, values of the argument `inputs`.
        is_calibrated: Whether the export needs the argument `calibration`.
    """

    write: Callable
    file_name: str
    limits: Limits = LIMITS[None]
    inputs: tuple = (NORMALIZED,)
    is_calibrated: bool = False


def _litert(quantization):
    """The format of LiteRT with a quantization, or None."""
    writer = functools.partial(litert.to_litert, quantization=quantization)
    file_name = "_".join(filter(None, ("student", quantization))) + ".tflite"
    return Format(writer, file_name, LIMITS[quantization], (NORMALIZED, PIXELS), is_calibrated=quantization == "int8")


FORMATS = {
    "saved_model": Format(to_saved_model, "saved_model", inputs=tuple(INPUTS)),
    "litert": _litert(None),
    "litert:float16": _litert("float16"),
    "litert:dynamic_int8": _litert("dynamic_int8"),
    "litert:int8": _litert("int8"),
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
    if any(name.startswith("litert:") for name in formats):
        quantizer_package()
    if "litert" in runtimes and importlib.util.find_spec("ai_edge_litert") is None:
        require("ai_edge_litert", extra="export", purpose="Running a LiteRT file")  # raises the error
    if "openvino" in runtimes:
        openvino_package()  # before `onnx`, which the extra of OpenVINO contains
    if runtimes & {"onnx", "openvino"}:
        onnx.onnx_package()
    if "onnx" in runtimes:
        require("onnxruntime", extra="onnx", purpose="Running an ONNX file")


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
    if any(name.split(":")[0] == "litert" for name in formats):
        litert.check_model(model)
    if {"onnx", "openvino"} & set(formats):
        onnx.check_model(model)


def check_inputs(inputs, formats):
    """Checks that all formats can take the same inputs.

    Args:
        inputs: `"normalized"`, `"pixels"` or `"bytes"`.
        formats: List of names of formats.

    Raises:
        ValueError: If a format takes no such inputs.

    Example:

    >>> check_inputs("pixels", ["saved_model", "litert"])
    """
    refused = [name for name in formats if inputs not in FORMATS[name].inputs]
    if refused:
        known = "; ".join(f"{name}: {', '.join(FORMATS[name].inputs)}" for name in refused)
        raise ValueError(f"`inputs` must be what every format can take ({known}). Received: inputs={inputs!r}")


def needs_calibration(formats):
    """Returns whether one of the formats needs images for a calibration.

    Args:
        formats: List of names of formats.

    Returns:
        True or False.

    Example:

    >>> needs_calibration(["litert"]), needs_calibration(["litert", "litert:int8"])
    (False, True)
    """
    return any(FORMATS[name].is_calibrated for name in formats)


def export(model, formats, directory, images, labels=None, calibration=None, overwrite=False):
    """Writes a model in several formats and compares each export with the model.

    Args:
        model: A model that each of the formats can hold, see `keras_deit.export`.
        formats: List of names, for example `["saved_model", "litert"]`.
        directory: The directory in which the files are written: `saved_model/`, `student.tflite` and so on, see `FORMATS`.
        images: Normalised images for the comparison, an array `(images, height, width, channels)`.
        labels: Integers `(images,)`, the right classes; -1 for an unlabelled image. None without labels.
        calibration: Normalised images of the training split, for the formats that need them; None for the others.
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
    images = images_of(serving_model(model), images)
    paths = {name: write(model, name, directory, overwrite, calibration=calibration) for name in formats}
    return compare_exports(model, {name: ExportedModel(path) for name, path in paths.items()}, images, labels)


def compare_exports(model, exports, images, labels=None, tolerance=None, progress=None):
    """Compares several exports with their model.

    Args:
        model, images, labels: See `export`.
        exports: Dictionary from the names of the formats to the `ExportedModel` of each.
        tolerance: Largest accepted difference of logits in every format; None means the limits of each format.
        progress: See `keras_deit.export.report.model_logits`. The model and each export run on all images.

    Returns:
        A list of `keras_deit.export.report.Report`, one per format.

    Raises:
        ValueError: If the images do not fit the model.
    """
    served = serving_model(model)
    images = images_of(served, images)
    expected = model_logits(served, images, progress)
    limits = {name: FORMATS[name].limits if tolerance is None else Limits(tolerance) for name in exports}
    return [comparison(expected, one, images, labels, name, limits[name], progress) for name, one in exports.items()]


def write(model, name, directory, overwrite=False, inputs=NORMALIZED, calibration=None):
    """Writes a model in one format.

    Args:
        model, directory, overwrite, calibration: See `export`.
        name: Name of the format.
        inputs: What the exported model takes, see `check_inputs`.

    Returns:
        `pathlib.Path` of the export.
    """
    chosen = FORMATS[name]
    arguments = {"inputs": inputs} if inputs != NORMALIZED else {}
    if chosen.is_calibrated:
        record = getattr(model, "preprocessing", None) or Preprocessing()
        arguments["calibration"] = calibration if inputs == NORMALIZED else record.undo_normalisation(calibration)
    return chosen.write(model, user_path(directory) / chosen.file_name, overwrite=overwrite, **arguments)
