"""Export to LiteRT (formerly TensorFlow Lite), for phones and embedded devices."""

import pathlib
import re
import tempfile

import keras

from keras_deit.export import subprocess_tensorflow
from keras_deit.export.destination import destination
from keras_deit.export.saved_model import write_saved_model
from keras_deit.export.serving import image_shape, serving_model
from keras_deit.layers.composite import layers_inside
from keras_deit.runtime.files import user_path
from keras_deit.runtime.numpy_numbers import python_number


def to_litert(model, path, batch_size=1, overwrite=False):
    """Writes a model as a `.tflite` file that uses LiteRT's built-in operations only.

    The file has the signature `serving_default`. Its input `images` is float32 of shape `(batch_size, height, width, 3)`,
    normalised as the model expects. Its output `logits` is float32 of shape `(batch_size, classes)`. The batch size is
    fixed. LiteRT's interpreter raises an error for images of another shape. A model in mixed precision is exported in
    float32. On JAX and PyTorch, a child process with TensorFlow rebuilds the model and writes the file.

    Args:
        model: A `keras_deit.DeiTClassifier`; or a `keras_deit.DeiT`, whose heads are fused by the mean of their logits; or
            any functional Keras model with one output and one image input of a known size.
        path: The file to write. An export that fails leaves no incomplete file.
        batch_size: Number of images per call.
        overwrite: Whether an existing file at `path` is replaced.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        FileExistsError: If `path` exists and `overwrite` is false, or if it is a directory.
        ImportError: If TensorFlow is not installed.
        RuntimeError: If the conversion fails, for example because LiteRT lacks an operation of the model.
        ValueError: If the model does not have one image input of a known size and one output, or if `batch_size` is not
            positive, or if Keras has quantized the model.

    Example:

    ```python
    kd.export.to_litert(student, "student.tflite")
    runner = ai_edge_litert.interpreter.Interpreter("student.tflite").get_signature_runner("serving_default")
    logits = runner(images=images)["logits"]
    ```
    """
    served, batch_size = serving_model(model), python_number(batch_size)
    if not isinstance(batch_size, int) or batch_size < 1 or None in image_shape(served):
        raise ValueError(
            "LiteRT needs a positive integer as batch size and images of a known size (build the model with a fixed image "
            f"size). Received: batch_size={batch_size!r}, images of shape {image_shape(served)}"
        )
    if any(getattr(layer, "quantization_mode", None) for layer in layers_inside(served)):
        raise ValueError(
            "LiteRT cannot convert a model that Keras has quantized. Received: a quantized model. Export the model as it "
            "was before `quantize`, or export to SavedModel."
        )
    with destination(path, overwrite) as temporary:
        if keras.backend.backend() == "tensorflow":
            write_litert(served, temporary, batch_size)
        else:
            subprocess_tensorflow.write("litert", served, temporary, batch_size)
    return user_path(path)


def write_litert(model, path, batch_size):
    """Writes a `.tflite` file on the TensorFlow backend, without checks and without fusing heads.

    Args:
        model: A Keras model with one image input and one output.
        path: The file to write. An existing file is replaced.
        batch_size: Number of images per call.

    Raises:
        RuntimeError: If the conversion fails.
    """
    with tempfile.TemporaryDirectory() as directory:
        write_saved_model(model, directory, batch_size)  # converting a traced function directly loses the weights
        pathlib.Path(path).write_bytes(_convert(directory))


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
