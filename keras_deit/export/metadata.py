"""What an exported model says of itself: the classes, the preparation of images, the meaning of the logits."""

import json
import pathlib

from keras_deit.export.serving import gives_probabilities, image_shape
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.runtime.files import user_path
from keras_deit.runtime.foreign_files import reading
from keras_deit.runtime.optional import require
from keras_deit.runtime.version import __version__

KEY = "keras_deit"  # name of the metadata in a `.tflite` file
SAVED_MODEL_FILE = pathlib.PurePath("assets.extra", "keras_deit.json")  # in the directory of a SavedModel
KEYS = (
    "class_names",
    "preprocessing",
    "multi_label",
    "activation",
    "num_classes",
    "image_size",
    "inputs",
    "quantization",
    "producer",
)
SOFTMAX, SIGMOID = "softmax", "sigmoid"


def export_metadata(model, inputs="normalized", quantization=None):
    """Describes an exported model for the programs that run it.

    Args:
        model: The Keras model that is exported, with one image input and one output `(batch, classes)`.
        inputs: What the exported model takes: `"normalized"` images, `"pixels"` in 0..255 or `"bytes"` of image files.
        quantization: As for `keras_deit.export.to_litert`.

    Returns:
        A dictionary that JSON can hold:

        - `class_names`: list of strings in the order of the logits, or None if the model does not know them;
        - `preprocessing`: the attributes of the `keras_deit.Preprocessing` of `model.image_processor()`; None for a model
          that is not of this package;
        - `multi_label`: whether an image may have several labels;
        - `activation`: `"softmax"` or `"sigmoid"`, the function that turns logits into probabilities; None if the outputs
          are probabilities already, because the model ends in one of the two;
        - `num_classes`: the number of logits;
        - `image_size`: `[height, width]` in pixels; None for a model that takes images of any size;
        - `inputs`: the argument `inputs`;
        - `quantization`: the argument `quantization`;
        - `producer`: name and version of this package.

    Example:

    >>> import keras_deit as kd
    >>> metadata = export_metadata(kd.DeiTClassifier.from_variant("deit_ti", num_layers=1, num_classes=10))
    >>> metadata["activation"], metadata["num_classes"], metadata["image_size"], metadata["class_names"]
    ('softmax', 10, [224, 224], None)
    """
    is_own = hasattr(model, "record_config")
    record = model.record_config() if is_own else {}
    multi_label, num_classes = bool(record.get("multi_label")), int(model.outputs[0].shape[-1])
    height, width, _ = image_shape(model)
    return {
        "class_names": record.get("class_names"),
        "preprocessing": (model.preprocessing or Preprocessing()).get_config() if is_own else None,
        "multi_label": multi_label,
        "activation": None if gives_probabilities(model) else activation_of(multi_label, num_classes),
        "num_classes": num_classes,
        "image_size": None if None in (height, width) else [height, width],
        "inputs": inputs,
        "quantization": quantization,
        "producer": f"keras_deit {__version__}",
    }


def activation_of(multi_label, num_classes):
    """Returns the function that turns logits into probabilities.

    Args:
        multi_label: Whether an image may have several labels.
        num_classes: Number of logits. A single logit is that of the class against none.

    Returns:
        `"softmax"` or `"sigmoid"`.

    Example:

    >>> activation_of(multi_label=False, num_classes=10), activation_of(multi_label=False, num_classes=1)
    ('softmax', 'sigmoid')
    """
    return SIGMOID if multi_label or num_classes == 1 else SOFTMAX


def to_json(metadata):
    """Writes metadata as JSON: the content of `keras_deit.json`, of the side-car and of the buffer in a `.tflite` file.

    Args:
        metadata: What `export_metadata` returns.

    Returns:
        A string.

    Example:

    >>> to_json({"class_names": ["犬"]})
    '{"class_names": ["犬"]}'
    """
    return json.dumps(metadata, ensure_ascii=False)


def sidecar(path):
    """Returns the path of the JSON file beside a LiteRT file.

    Args:
        path: Path of the `.tflite` file.

    Returns:
        `pathlib.Path`.

    Example:

    >>> sidecar("exports/student.tflite").as_posix()
    'exports/student.json'
    """
    return user_path(path).with_suffix(".json")


def read_metadata(path):
    """Reads the metadata of an exported model.

    Args:
        path: Directory of a SavedModel, or a LiteRT or ONNX file. For a LiteRT file without metadata, the JSON file of the
            same name is read if this package wrote one.

    Returns:
        What `export_metadata` returned for the exported model, or None if the export has no metadata of this package.

    Raises:
        ImportError: If the package that reads the format is not installed; the message names the extra.
        ValueError: If the file is damaged.

    Example:

    ```python
    class_names = read_metadata("student.tflite")["class_names"]
    ```
    """
    path = user_path(path)
    if path.is_dir():
        return _read_json(path / SAVED_MODEL_FILE)
    if path.suffix == ".onnx":
        onnxruntime = require("onnxruntime", extra="onnx", purpose="Reading an ONNX file")
        with reading(path):
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            return from_properties(session.get_modelmeta().custom_metadata_map)
    return _of_litert(path) or _read_json(sidecar(path))


def to_properties(metadata):
    """Turns metadata into the properties of an ONNX file.

    Args:
        metadata: What `export_metadata` returns.

    Returns:
        Dictionary from the keys to their values in JSON.

    Example:

    >>> to_properties({"class_names": None, "inputs": "normalized"})
    {'class_names': 'null', 'inputs': '"normalized"'}
    """
    return {key: to_json(value) for key, value in metadata.items()}


def from_properties(properties):
    """Reads the metadata in the properties of an ONNX file.

    Args:
        properties: Dictionary of strings. Other programs may have added properties of their own, which are left out.

    Returns:
        What `export_metadata` returned, or None if the file is not of this package.

    Example:

    >>> from_properties({"producer": '"keras_deit 1.0"', "class_names": "null"})
    {'producer': 'keras_deit 1.0', 'class_names': None}
    >>> from_properties({"author": "somebody"}) is None
    True
    """
    if not properties.get("producer", "").startswith(f'"{KEY} '):
        return None
    return {key: json.loads(value) for key, value in properties.items() if key in KEYS}


def _read_json(path):
    if not path.is_file():
        return None
    try:
        return _of_this_package(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{path} must be a JSON file in UTF-8. {error}") from error


def _of_litert(path):
    schema = require("ai_edge_litert.schema_py_generated", extra="export", purpose="Reading a LiteRT file")
    content = path.read_bytes()
    if not schema.Model.ModelBufferHasIdentifier(content, 0):
        raise ValueError(f"{path} is no LiteRT file.")
    with reading(path):
        model = schema.Model.GetRootAs(content, 0)
        for entry in map(model.Metadata, range(model.MetadataLength())):
            if entry.Name().decode() == KEY:
                return _of_this_package(json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()))
    return None


def _of_this_package(entries):
    """Returns the entries of a JSON file or text, or None if another program wrote them."""
    is_own = isinstance(entries, dict) and str(entries.get("producer")).startswith(f"{KEY} ")
    return entries if is_own else None
