"""Export to LiteRT (formerly TensorFlow Lite), for phones and embedded devices."""

import pathlib
import re
import tempfile

import keras
import numpy as np

from keras_deit.export import subprocess_tensorflow
from keras_deit.export.destination import destinations
from keras_deit.export.litert_graph import deit_function
from keras_deit.export.litert_quantization import QUANTIZATIONS, quantize, quantizer_package
from keras_deit.export.metadata import KEY, export_metadata, sidecar, to_json
from keras_deit.export.serving import check_file_size, image_shape, other_class, serving_model
from keras_deit.export.signatures import INPUT, OUTPUT, SERVING_DEFAULT
from keras_deit.imaging.pixel_range import check_normalized
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.layers.composite import layers_inside
from keras_deit.models import DeiTClassifier
from keras_deit.models.image_model import ImageModel
from keras_deit.runtime.files import user_path
from keras_deit.runtime.numpy_numbers import python_number
from keras_deit.runtime.optional import require

EXTENSION = ".tflite"
INPUT_DTYPES = {"normalized": "float32", "pixels": "uint8"}


def to_litert(
    model,
    path,
    quantization=None,
    calibration=None,
    inputs="normalized",
    batch_size=1,
    int8_io=False,
    overwrite=False,
):
    """Writes a model as a `.tflite` file that uses LiteRT's built-in operations only.

    The file has the signature `serving_default`, with the input `images` of shape `(batch_size, height, width, 3)` and the
    output `logits` of shape `(batch_size, classes)`. The batch size is fixed. LiteRT raises an error for images
    of another shape or type. No tensor has more than four dimensions. A model in mixed precision is exported in float32, and
    LoRA is merged into the kernels. On JAX and PyTorch, a child process with TensorFlow rebuilds the model and writes the
    file; the quantization needs no TensorFlow.

    The file's metadata `keras_deit` is a JSON text with the class names and the preparation of images, see
    `keras_deit.export.metadata.export_metadata`. A JSON file beside the file, `student.json` for `student.tflite`, has the
    same content.

    Args:
        model: A `keras_deit.DeiTClassifier`; or a `keras_deit.DeiT`, whose heads are fused by the mean of their logits; or
            any functional Keras model with one output and one image input of a known size.
        path: The `.tflite` file to write. An export that fails leaves no incomplete file.
        quantization: None: float32. `"float16"`: the kernels are stored in float16, half the size. `"dynamic_int8"`: the
            kernels are stored in int8, a quarter of the size, and their products are computed in int8. The inputs of each
            product are quantized by the range that they have in each image. `"int8"`: the same, but with ranges that are
            fixed by the calibration images, as accelerators without dynamic ranges need. The attention, the softmax, the
            layer norms, GELU and the sums of the residual stream are in float32 in every case.
        calibration: For `"int8"`, at least one image as the file takes it, in an array `(images, height, width, 3)`;
            a hundred images of the training split are enough.
        inputs: `"normalized"`: float32 images, normalised as the model expects. `"pixels"`: uint8 pixels in 0..255; the file
            normalises them by mean and standard deviation of `model.preprocessing`. It does not resize.
        batch_size: Number of images per call.
        int8_io: For `"int8"` and normalised images: whether the input and the output are int8 as well. Their scales and zero
            points are stored in the file (`get_input_details()[0]["quantization"]`).
        overwrite: Whether an existing file at `path`, and the JSON file beside it, are replaced.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        FileExistsError: If `path` or the JSON file exists and `overwrite` is false, or if it is a directory.
        ImportError: If TensorFlow or the quantizer is not installed; the message names the extra.
        RuntimeError: If the conversion fails, for example because LiteRT lacks an operation of the model.
        ValueError: If `path` does not end in `.tflite`, or the model does not have one image input of a known size and one
            output, or Keras has quantized the model, or the calibration images are not normalised, or an argument is
            invalid.

    Example:

    ```python
    kd.export.to_litert(student, "student.tflite", quantization="int8", calibration=training_images[:100])
    runner = ai_edge_litert.interpreter.Interpreter("student.tflite").get_signature_runner("serving_default")
    logits = runner(images=images)["logits"]
    ```
    """
    path, batch_size, int8_io = user_path(path), python_number(batch_size), python_number(int8_io)
    if path.suffix != EXTENSION:  # the names of other files could share one JSON file
        raise ValueError(f"The name of a LiteRT file must end in {EXTENSION}. Received: {str(path)!r}")
    served = serving_model(model)
    check_model(served)
    _check_arguments(model, quantization, inputs, batch_size, int8_io)
    batches = _calibration_batches(calibration, quantization, inputs, (batch_size, *image_shape(served)), served)
    if quantization is not None:
        quantizer_package()
    with destinations([path, sidecar(path)], overwrite) as (temporary, temporary_sidecar):
        if keras.backend.backend() == "tensorflow":
            write_litert(served, temporary, batch_size, inputs)
        else:
            subprocess_tensorflow.write("litert", served, temporary, batch_size, inputs)
        content = temporary.read_bytes()
        if quantization is not None:
            content = quantize(content, quantization, batches, int8_io)
        metadata = to_json(export_metadata(served, inputs, quantization))
        temporary.write_bytes(_with_metadata(content, metadata))
        temporary_sidecar.write_text(metadata, encoding="utf-8")
    return path


def check_model(model):
    """Checks that the format can hold a model.

    Args:
        model: A Keras model with one image input.

    Raises:
        ValueError: If the model takes images of any size, or Keras has quantized the model, or its weights exceed 2 GiB.
    """
    if None in image_shape(model):
        raise ValueError(
            "LiteRT needs images of a known size: build the model with a fixed image size, or export to SavedModel. "
            f"Received: {type(model).__name__} for images of shape {image_shape(model)}"
        )
    if any(getattr(layer, "quantization_mode", None) for layer in layers_inside(model)):
        raise ValueError(
            "LiteRT cannot convert a model that Keras has quantized. Received: a quantized model. Export the model as it "
            "was before `quantize`, or export to SavedModel."
        )
    check_file_size(model, "A LiteRT")


def write_litert(model, path, batch_size, inputs):
    """Writes a `.tflite` file in float32 on the TensorFlow backend, without checks and without metadata.

    Args:
        model: A Keras model with one image input and one output.
        path: The file to write. An existing file is replaced.
        batch_size: Number of images per call.
        inputs: `"normalized"` or `"pixels"`.

    Raises:
        RuntimeError: If the conversion fails.
    """
    shape, dtype = (batch_size, *image_shape(model)), INPUT_DTYPES[inputs]
    function = _logits_function(model, inputs)
    compared = (1,) if _is_foldable(model) else (1, 2)  # the patch embedding of a DeiT compares the number of pixels

    def serve(images):
        return {OUTPUT: function(keras.ops.cast(_of_fixed_shape(images, shape, compared), "float32"))}

    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        SERVING_DEFAULT, serve, input_signature=[keras.InputSpec(shape=shape, dtype=dtype, name=INPUT)]
    )
    with tempfile.TemporaryDirectory() as directory:
        archive.write_out(directory, verbose=False)  # converting a traced function directly loses the weights
        pathlib.Path(path).write_bytes(_convert(directory))


def _check_arguments(model, quantization, inputs, batch_size, int8_io):
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"LiteRT needs a positive integer as batch size. Received: batch_size={batch_size!r}")
    if quantization not in QUANTIZATIONS:
        raise ValueError(f"`quantization` must be one of {QUANTIZATIONS}. Received: quantization={quantization!r}")
    if inputs not in INPUT_DTYPES:
        raise ValueError(f"`inputs` must be one of {tuple(INPUT_DTYPES)}. Received: inputs={inputs!r}")
    if inputs == "pixels" and not hasattr(model, "image_processor"):
        raise ValueError(
            "inputs='pixels' needs a model of this package, which knows its normalisation. Received: "
            f"{type(model).__name__}. Export it with inputs='normalized'."
        )
    if int8_io and (quantization, inputs) != ("int8", "normalized"):
        raise ValueError(
            "`int8_io=True` needs quantization='int8' and inputs='normalized' (pixels are integers already). Received: "
            f"quantization={quantization!r}, inputs={inputs!r}"
        )


def _calibration_batches(images, quantization, inputs, shape, model):
    """Divides the calibration images into batches of the shape of the file's input; the last images fill the last batch."""
    if (images is None) == (quantization == "int8"):
        raise ValueError(
            "`calibration` must be an array of images for quantization='int8', and None otherwise. Received: "
            f"quantization={quantization!r}, calibration={'None' if images is None else type(images).__name__}"
        )
    if images is None:
        return None
    images = keras.ops.convert_to_numpy(images)
    dtype = INPUT_DTYPES[inputs]
    fits = images.ndim == 4 and images.shape[1:] == shape[1:] and np.can_cast(images.dtype, dtype, "same_kind")
    if not fits or not len(images):
        raise ValueError(
            f"Expected at least one calibration image of shape {shape[1:]} as the file takes it ({inputs}: {dtype}), in an "
            f"array (images, height, width, channels). Received: {images.dtype} of shape {images.shape}"
        )
    if inputs == "normalized" and isinstance(model, ImageModel):
        record = model.preprocessing or Preprocessing()
        check_normalized(images, record.mean, record.std, "The calibration images")
    images, size = images.astype(dtype), shape[0]
    padded = np.concatenate([images, np.repeat(images[-1:], -len(images) % size, axis=0)])
    return [padded[start : start + size] for start in range(0, len(padded), size)]


def _with_metadata(content, metadata):
    """Adds a named buffer to a file. Weights that the quantizer has put behind the flatbuffer are moved into it."""
    utils = require("ai_edge_litert.tools.flatbuffer_utils", extra="export", purpose="Exporting to LiteRT")
    schema = require("ai_edge_litert.schema_py_generated", extra="export", purpose="Exporting to LiteRT")
    model = utils.read_model_from_bytearray(content)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(metadata.encode(), "uint8")
    entry.name, entry.buffer = KEY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata.append(entry)
    return bytes(utils.convert_object_to_bytearray(model))


def _logits_function(model, inputs):
    """Returns the function from images in float32, pixels or normalised as `inputs` says, to logits."""
    processor = model.image_processor() if inputs == "pixels" else None
    if _is_foldable(model):
        return deit_function(model, processor)

    def logits(images):
        if processor is not None:
            images = (images / 255 - np.float32(processor.mean)) / np.float32(processor.std)
        return keras.tree.flatten(model(images, training=False))[0]

    return logits


def _is_foldable(model):
    """Returns whether `deit_function` computes what the model computes; a subclass may compute something else."""
    return isinstance(model, DeiTClassifier) and other_class(model) is None and not model.token_merging


def _of_fixed_shape(images, shape, axes):
    """Returns the images, through operations that fail in LiteRT's interpreter for images of another shape.

    LiteRT's converter drops `tf.ensure_shape`, and a signature runner resizes the input to every array that it gets. A
    concatenation along one of the axes compares the rank and every side but that of the axis.
    """
    import tensorflow as tf

    for axis in axes:
        one_more = tf.zeros([1 if number == axis else size for number, size in enumerate(shape)], images.dtype)
        longer = tf.concat([one_more, images], axis)
        images = longer[:, 1:] if axis == 1 else longer[:, :, 1:]
    return images


def _convert(saved_model):
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        return converter.convert()
    except ConverterError as error:
        missing = ", ".join(re.findall(r"^(?:Flex|Custom) ops: (.+)$", str(error), flags=re.MULTILINE))
        if not missing:
            raise RuntimeError(f"LiteRT could not convert the model: {error}") from error
        raise RuntimeError(
            f"The model uses operations that LiteRT does not have built in: {missing}. Replace them in the model's layers, "
            "or export to SavedModel."
        ) from None
