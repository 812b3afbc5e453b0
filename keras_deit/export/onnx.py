"""Export to ONNX, for ONNX Runtime and the many other programs that read the format; without TensorFlow."""

from keras_deit.export.destination import destination
from keras_deit.export.metadata import export_metadata, to_properties
from keras_deit.export.onnx_graph import deit_graph
from keras_deit.export.serving import check_file_size, other_class, serving_model
from keras_deit.layers.composite import layers_inside
from keras_deit.models.classifier import way_without_merging
from keras_deit.runtime.files import user_path
from keras_deit.runtime.optional import require
from keras_deit.runtime.version import __version__

EXTENSION = ".onnx"
OPSET, IR_VERSION = 20, 9  # the first operator set with Gelu, and the first version of the format that has this set


def to_onnx(model, path, overwrite=False):
    """Writes a model as an ONNX file, which ONNX Runtime runs without this package or Keras.

    The file's input `images` is float32 of shape `(batch, height, width, 3)`, normalised as the model expects. Its output
    `logits` is float32 of shape `(batch, classes)`. The batch size is free. ONNX Runtime raises an error for images of
    another shape. The operators are those of opset 20, and no tensor has more than four dimensions. A model in mixed
    precision is exported in float32, and LoRA is merged into the kernels. The file's metadata has the keys of
    `keras_deit.export.metadata.export_metadata` with values in JSON; `null` means unknown. The export does not need
    TensorFlow.

    Args:
        model: A `keras_deit.DeiTClassifier`; or a `keras_deit.DeiT`, whose heads are fused by the mean of their logits.
        path: The file to write. An export that fails leaves no incomplete file.
        overwrite: Whether an existing file at `path` is replaced.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        FileExistsError: If `path` exists and `overwrite` is false, or if it is a directory.
        ImportError: If the package `onnx` is not installed; the message names the extra.
        ValueError: If `path` does not end in `.onnx`, or the model is of another class, merges tokens or is quantized by
            Keras, or its weights exceed 2 GiB.

    Example:

    ```python
    kd.export.to_onnx(student, "student.onnx")
    (logits,) = onnxruntime.InferenceSession("student.onnx").run(["logits"], {"images": images})
    ```

    Reference:
        ONNX, "Open Neural Network Exchange Intermediate Representation (ONNX IR) Specification",
        https://github.com/onnx/onnx/blob/main/docs/IR.md.
    """
    if user_path(path).suffix != EXTENSION:  # `ExportedModel` knows the format by it
        raise ValueError(f"The name of an ONNX file must end in {EXTENSION}. Received: {str(path)!r}")
    check_model(model)
    onnx = onnx_package()
    with destination(path, overwrite) as temporary:
        temporary.write_bytes(_model_proto(serving_model(model)).SerializeToString())
        onnx.checker.check_model(temporary, full_check=True)
    return user_path(path)


def onnx_package():
    """Imports the package that writes ONNX files.

    Returns:
        The module `onnx`.

    Raises:
        ImportError: If `onnx` is not installed; the message names the extra.
    """
    return require("onnx", extra="onnx", purpose="Exporting to ONNX")


def check_model(model):
    """Checks that the format can hold a model.

    Args:
        model: As for `to_onnx`.

    Raises:
        ValueError: If the model is of another class, merges tokens or is quantized by Keras, or its weights exceed 2 GiB.
    """
    other = other_class(model)
    if other is not None:
        inside = "" if other == type(model).__name__ else f"{type(model).__name__} with a layer of the class "
        raise ValueError(
            f"`to_onnx` writes a keras_deit.DeiT or keras_deit.DeiTClassifier. Received: {inside}{other}. From a "
            "Distiller, export its `student`; `to_saved_model` exports other Keras models with one image input and one "
            "output."
        )
    if getattr(model, "token_merging", 0):
        raise ValueError(
            f"`to_onnx` writes models that merge no tokens. Received: token_merging={model.token_merging}. Export "
            f"{way_without_merging(model)}, or export to SavedModel or LiteRT."
        )
    if any(layer.quantization_mode for layer in layers_inside(model)):
        raise ValueError(
            "`to_onnx` writes kernels in float32. Received: a quantized model. Export the model as it was before "
            "`quantize`, or export to SavedModel."
        )
    check_file_size(model, "An ONNX")


def _model_proto(classifier):
    import onnx

    proto = onnx.helper.make_model(
        deit_graph(classifier),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="keras_deit",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(proto, to_properties(export_metadata(classifier)))
    return proto
