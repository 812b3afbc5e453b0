"""Export to a SavedModel of TensorFlow."""

import dataclasses
import json

import keras

from keras_deit.export import subprocess_tensorflow
from keras_deit.export.destination import destination
from keras_deit.export.metadata import SAVED_MODEL_FILE, export_metadata, to_json
from keras_deit.export.serving import image_shape, serving_model
from keras_deit.export.signatures import INPUTS, NORMALIZED, is_rgb_classifier, signatures
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.models.image_model import DEFAULT_IMAGE_SIZE
from keras_deit.runtime.files import user_path
from keras_deit.runtime.numpy_numbers import python_number


def to_saved_model(model, path, inputs=NORMALIZED, preprocessing=None, top=5, versioned=False, overwrite=False):
    """Writes a model as a SavedModel, which TensorFlow and TensorFlow Serving run without this package or Keras.

    The SavedModel has the following signatures, for batches of any size:

    - `serving_default` takes `images`, `pixels` or `image_bytes`, as the argument `inputs` says, and returns `logits`,
      float32 of shape `(batch, classes)`. With `inputs="bytes"` it is the same as `serve_bytes`.
    - `serve_bytes` takes `image_bytes`, strings of shape `(batch,)` with the content of JPEG or PNG files. It prepares the
      images as `model.image_processor()` does and returns the `top` most probable classes of each image, the most probable
      one first: `probabilities`, float32, `indices`, int32, and `classes`, strings, each of shape `(batch, top)`.
      The probabilities are a sigmoid of the logits for a multi-label model or one class, otherwise a softmax. If the model
      ends in a softmax or sigmoid, the probabilities are its outputs.
    - `serve_images` takes normalised `images` and returns `logits`. With `inputs="normalized"`, it is left out: it would be
      the same as `serving_default`.
    - `features` takes what `serving_default` takes and returns the embeddings of the last layer, float32 of shape
      `(batch, hidden_dim)`: `class_token`, `distillation_token` (of a model with two tokens) and `mean`, the mean of both.
      Models other than a DeiT have no such signature.

    Wrong inputs, such as images of another shape or a damaged file, raise `tf.errors.InvalidArgumentError`.
    The file `assets.extra/keras_deit.json` holds the class names and the preparation of images.
    A model in mixed precision is exported in float32. On JAX and PyTorch, a child process with TensorFlow rebuilds the
    model and writes the SavedModel.

    Args:
        model: A `keras_deit.DeiTClassifier`; or a `keras_deit.DeiT`, whose heads are fused by the mean of their logits; or
            any functional Keras model with one image input and one output.
        path: The directory to write. An export that fails leaves no incomplete directory.
        inputs: What `serving_default` takes. `"normalized"`: `images`, float32 of shape `(batch, height, width, 3)`,
            normalised as the model expects. `"pixels"`: `pixels`, uint8 of shape `(batch, height, width, 3)`, of any height
            and width. `"bytes"`: `image_bytes`, as `serve_bytes`.
        preprocessing: `keras_deit.Preprocessing`, how images are prepared; None means the model's own record, or without one
            that of the official evaluation. A model that is not of this package has no record: unless `preprocessing` is
            given, it takes normalised images only, and there is no `serve_bytes`.
        top: Number of classes that `serve_bytes` returns; None means all.
        versioned: Whether the SavedModel becomes a new version of the model at `path`, as TensorFlow Serving loads it: the
            directory `path/1`, or that of the next number.
        overwrite: Whether an existing SavedModel at `path` is replaced.

    Returns:
        The `pathlib.Path` of the directory.

    Raises:
        FileExistsError: If `path` exists and `overwrite` is false, or if it is not a SavedModel.
        ImportError: If TensorFlow is not installed.
        RuntimeError: If the child process fails.
        ValueError: If the model does not have one image input and one output, `inputs` or `top` is none of the values above,
            or the model takes normalised images only and `inputs` is another value.

    Example:

    ```python
    kd.export.to_saved_model(student, "export/digits", versioned=True)  # writes export/digits/1
    serve_bytes = tf.saved_model.load("export/digits/1").signatures["serve_bytes"]
    print(serve_bytes(image_bytes=[tf.io.read_file("seven.png")])["classes"])
    ```
    """
    if inputs not in INPUTS:
        raise ValueError(f"`inputs` must be one of {', '.join(map(repr, INPUTS))}. Received: inputs={inputs!r}")
    served, top = serving_model(model), python_number(top)
    if top is not None and (not isinstance(top, int) or top < 1):
        raise ValueError(f"`top` must be a positive integer, or None for all classes. Received: top={top!r}")
    record = _record(served, inputs, preprocessing)
    path = _next_version(user_path(path)) if versioned else user_path(path)
    with destination(path, overwrite, marker="saved_model.pb") as temporary:
        if keras.backend.backend() == "tensorflow":
            write_serving_model(served, temporary, inputs, record, top)
        else:
            settings = json.dumps([inputs, record and record.get_config(), top])
            subprocess_tensorflow.write("saved_model", served, temporary, settings)
        _write_metadata(temporary / SAVED_MODEL_FILE, served, inputs, record)
    return path


def write_serving_model(model, path, inputs, preprocessing, top):
    """Writes a SavedModel with all its signatures on the TensorFlow backend, without checks and without fusing heads.

    Args:
        model: A Keras model with one image input and one output.
        path: The directory to write.
        inputs, preprocessing, top: As for `keras_deit.export.signatures.signatures`; the preprocessing also as a dictionary.
    """
    archive = keras.export.ExportArchive()
    offered = signatures(model, inputs, Preprocessing.of(preprocessing), top)
    for name, (function, spec) in offered.items():
        archive.add_endpoint(name, function, input_signature=[spec])
    archive.write_out(str(path), verbose=False)


def _record(model, inputs, preprocessing):
    """How images are prepared for a model, with their size; None for a model that takes normalised images only."""
    record = Preprocessing.of(preprocessing)
    if record is None and hasattr(model, "image_processor"):
        record = model.preprocessing or Preprocessing()
    if record is None or not is_rgb_classifier(model):
        if inputs == NORMALIZED and preprocessing is None:
            return None
        raise ValueError(
            f"inputs={inputs!r} needs a model of RGB images with one logit for each class, and how its images are prepared: "
            "pass `preprocessing=keras_deit.Preprocessing(mean=..., std=...)`. Received: a model with images of shape "
            f"{image_shape(model)} and outputs of shape {model.outputs[0].shape}, and preprocessing={preprocessing!r}"
        )
    *size, _ = image_shape(model)
    return dataclasses.replace(record, image_size=(record.image_size or DEFAULT_IMAGE_SIZE) if None in size else size)


def _next_version(path):
    """The directory of the next version of the model at `path`, in the layout of TensorFlow Serving."""
    existing = [int(entry.name) for entry in path.glob("*") if entry.name.isdecimal()]
    return path / str(max(existing, default=0) + 1)


def _write_metadata(path, model, inputs, record):
    metadata = export_metadata(model, inputs)
    if record is not None:
        metadata |= {"preprocessing": record.get_config(), "image_size": list(record.image_size)}
    path.parent.mkdir()
    path.write_text(to_json(metadata), encoding="utf-8")
