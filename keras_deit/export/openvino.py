"""Export to OpenVINO, for Intel's processors; by way of ONNX, without TensorFlow."""

import os
import sys
import tempfile

from keras_deit.export.destination import destinations
from keras_deit.export.metadata import KEY, export_metadata, to_json
from keras_deit.export.onnx import check_model, to_onnx
from keras_deit.export.serving import serving_model
from keras_deit.runtime.files import user_path
from keras_deit.runtime.optional import require

EXTENSION, TELEMETRY = ".xml", "openvino_telemetry"


def to_openvino(model, path, overwrite=False):
    """Writes a model in OpenVINO's format: a `.xml` file with the graph, and beside it a `.bin` file with the weights.

    The model's input `images` is float32 of shape `(batch, height, width, 3)`, normalised as the model expects. Its output
    `logits` is float32 of shape `(batch, classes)`. The batch size is free. OpenVINO raises an error for images of another
    shape. The weights are float32. The `.xml` file's runtime information has the key `keras_deit` with the JSON of
    `keras_deit.export.metadata.export_metadata`. The export does not need TensorFlow.

    On processors with bfloat16, OpenVINO computes in bfloat16 unless the model is compiled with the option
    `INFERENCE_PRECISION_HINT` set to `f32`.

    Args:
        model: A `keras_deit.DeiTClassifier`; or a `keras_deit.DeiT`, whose heads are fused by the mean of their logits.
        path: The `.xml` file to write. An export that fails leaves no incomplete file.
        overwrite: Whether existing files at `path`, and with the extension `.bin`, are replaced.

    Returns:
        The `pathlib.Path` of the `.xml` file.

    Raises:
        FileExistsError: If one of the two files exists and `overwrite` is false, or if it is a directory.
        ImportError: If `openvino` or `onnx` is not installed; the message names the extra.
        ValueError: If `path` does not end in `.xml`, or the model is of another class, or Keras has quantized the model, or
            its weights exceed 2 GiB.

    Example:

    ```python
    kd.export.to_openvino(student, "student.xml")
    compiled = openvino.Core().compile_model("student.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    logits = compiled({"images": images})["logits"]
    ```

    Reference:
        OpenVINO, "OpenVINO IR format", https://docs.openvino.ai/2025/documentation/openvino-ir-format.html.
    """
    path = user_path(path)
    if path.suffix != EXTENSION:
        raise ValueError(f"The name of OpenVINO's file must end in {EXTENSION}. Received: {str(path)!r}")
    check_model(model)
    openvino = openvino_package()
    with (
        destinations([path, path.with_suffix(".bin")], overwrite) as (graph, weights),
        tempfile.TemporaryDirectory(dir=graph.parent) as directory,
    ):
        written = os.path.join(directory, path.name)
        _write(openvino, serving_model(model), directory, written)
        os.replace(written, graph)
        os.replace(os.path.join(directory, weights.name), weights)
    return path


def openvino_package(purpose="Exporting to OpenVINO"):
    """Imports OpenVINO, but not the package that sends usage data to its makers whenever OpenVINO is imported.

    Args:
        purpose: The purpose, as the subject of the error message.

    Returns:
        The module `openvino`.

    Raises:
        ImportError: If OpenVINO is not installed; the message names the extra.
    """
    is_imported = TELEMETRY in sys.modules
    if not is_imported:
        sys.modules[TELEMETRY] = None  # its import fails, and OpenVINO does without
    try:
        return require("openvino", extra="openvino", purpose=purpose)
    finally:
        if not is_imported:
            del sys.modules[TELEMETRY]


def _write(openvino, classifier, directory, path):
    graph = openvino.Core().read_model(to_onnx(classifier, os.path.join(directory, "model.onnx")))
    graph.set_rt_info(to_json(export_metadata(classifier)), [KEY])
    openvino.save_model(graph, path, compress_to_fp16=False)
