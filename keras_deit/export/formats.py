"""Exports in several formats at once, for a training run."""

import importlib.util

from keras_deit.choices import EXPORT_FORMATS
from keras_deit.export import subprocess_tensorflow
from keras_deit.export.litert import to_litert
from keras_deit.export.report import compare, litert_interpreter
from keras_deit.export.saved_model import to_saved_model
from keras_deit.runtime.files import user_path

WRITERS = dict(zip(EXPORT_FORMATS, ((to_saved_model, "saved_model"), (to_litert, "student.tflite")), strict=True))


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
            hint = " 'onnx' is not implemented yet." if name == "onnx" else ""
            raise ValueError(f"There is no export format {name!r}.{hint} Known formats: {', '.join(WRITERS)}.")
    if formats:
        subprocess_tensorflow.check_tensorflow()
    if "litert" in formats and importlib.util.find_spec("ai_edge_litert") is None:
        litert_interpreter()  # raises the error that names the extra


def export(model, formats, directory, images, overwrite=False):
    """Writes a model in several formats and compares each export with the model.

    Args:
        model: As for `keras_deit.export.to_saved_model`.
        formats: List of names, for example `["saved_model", "litert"]`.
        directory: The directory in which `saved_model/` and `student.tflite` are written.
        images: Normalised images for the comparison, an array `(images, height, width, channels)`.
        overwrite: Whether earlier exports in `directory` are replaced.

    Returns:
        A list of `keras_deit.export.report.Report`, one per format.

    Raises:
        FileExistsError: If an export exists and `overwrite` is false.
        ImportError: If a package is missing; the message names the extra.
        RuntimeError: If a conversion fails.
        ValueError: If a format is unknown, or the images do not fit the model.

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
