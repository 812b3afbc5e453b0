"""An exported model as an object that predicts, in its own runtime."""

import threading

import keras
import numpy as np

from keras_deit.export import subprocess_tensorflow
from keras_deit.export.litert_quantization import QUANTIZATIONS
from keras_deit.export.metadata import activation_of
from keras_deit.export.runtimes import LiteRTRuntime, OnnxRuntime, OpenVinoRuntime, SavedModelRuntime
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.imaging.sizes import height_and_width
from keras_deit.models.image_model import DEFAULT_IMAGE_SIZE
from keras_deit.runtime.files import user_path
from keras_deit.runtime.foreign_files import reading
from keras_deit.runtime.similar_names import did_you_mean, similar_paths

CHUNK = 32  # images per call, so that any number of images fits into memory
SAVED_MODEL = "saved_model"
FORMATS = {".tflite": "litert", ".onnx": "onnx", ".xml": "openvino"}  # of files, by their extension


def is_exported(source):
    """Returns whether a path names an exported model, and not weights.

    Args:
        source: Path of a file or directory, or another name of weights.

    Returns:
        True for a path that ends in `.tflite`, `.onnx` or `.xml`, and for the directory of a SavedModel.

    Example:

    >>> is_exported("student.tflite"), is_exported("deit_ti")
    (True, False)
    """
    path = user_path(source)
    return path.suffix in FORMATS or (path / "saved_model.pb").is_file()


class ExportedModel:
    """An exported model in its own runtime: ONNX Runtime, LiteRT's interpreter, OpenVINO or TensorFlow.

    The object predicts as a Keras classifier does. A SavedModel runs in TensorFlow, on JAX and PyTorch in a child process;
    the other formats do not need TensorFlow. All runtimes run on the CPU, on all cores that the process may use. Several
    threads may share the object: their calls run one after the other.

    Args:
        path: A `.tflite`, `.onnx` or `.xml` (OpenVINO) file, or the directory of a SavedModel.

    Attributes:
        path: `pathlib.Path` of the export.
        format: `"saved_model"`, `"litert"`, `"onnx"` or `"openvino"`.
        metadata: Dictionary, see `keras_deit.export.metadata.export_metadata`; None if the export has none.
        class_names: Tuple of the names of the classes, or None.
        preprocessing: `keras_deit.Preprocessing`, or None.
        multi_label: Whether an image may have several labels.
        quantization: `"float16"`, `"dynamic_int8"` or `"int8"`, the quantization of a LiteRT file, or None.
        activation: `"softmax"` or `"sigmoid"`, the function that turns logits into probabilities.
        num_classes: Number of classes.
        input_shape, output_shape: Tuples `(batch, height, width, 3)` and `(batch, classes)`. None stands for any size.

    Raises:
        FileNotFoundError: If `path` does not exist.
        ImportError: If the runtime is not installed; the message names the extra.
        ValueError: If the file is damaged, or no classifier of normalised images, or the metadata do not fit the model.

    Example:

    ```python
    model = ExportedModel("student.tflite")
    logits = model.predict_on_batch(model.image_processor()("cat.jpg")[None])
    ```
    """

    def __init__(self, path):
        self.path = user_path(path)
        if not self.path.exists():
            raise FileNotFoundError(f"There is no export at {self.path}.{did_you_mean(similar_paths(self.path))}")
        self.format = SAVED_MODEL if self.path.is_dir() else FORMATS.get(self.path.suffix, "litert")
        self.runtime = _open(self.format, self.path)
        self.metadata = self.runtime.metadata
        known = self.metadata or {}
        self.class_names = tuple(known["class_names"]) if known.get("class_names") else None
        with reading(self.path):
            self.preprocessing = Preprocessing.of(known.get("preprocessing"))
        self.multi_label = bool(known.get("multi_label"))
        quantization = known.get("quantization")
        self.quantization = quantization if quantization in QUANTIZATIONS else None  # other programs may write others
        self.num_classes = self.runtime.num_classes
        self.activation = known.get("activation") or activation_of(self.multi_label, self.num_classes)
        self._check_number_of_classes(known)
        self._lock = threading.Lock()  # LiteRT's interpreter keeps one input and one output
        self.input_shape, self.output_shape = self.runtime.input_shape, (None, self.num_classes)

    @property
    def size(self):
        """Size of the export in bytes, with the files that belong to it."""
        files = {"saved_model": self.path.rglob("*"), "openvino": [self.path, self.path.with_suffix(".bin")]}
        return sum(file.stat().st_size for file in files.get(self.format, [self.path]) if file.is_file())

    def image_processor(self, image_size=None, **overrides):
        """Builds the layer that prepares images for the model, as the metadata say.

        Args:
            image_size: Side of the images in pixels, or `(height, width)`; None means the model's own.
            **overrides: Arguments of `keras_deit.ImageProcessor` that replace those of the metadata.

        Returns:
            A `keras_deit.ImageProcessor`. Without `preprocessing`, the layer is that of the official evaluation.

        Raises:
            ValueError: If the model takes images of another size.
        """
        record, own_size = self.preprocessing or Preprocessing(), self.input_shape[1:3]
        if None in own_size:
            return record.processor(image_size or record.image_size or DEFAULT_IMAGE_SIZE, **overrides)
        if image_size is not None and height_and_width(image_size) != own_size:
            raise ValueError(
                f"{self.path} takes images of {own_size[0]}×{own_size[1]} pixels only. Received: image_size={image_size}. "
                "Export the model again for another size."
            )
        return record.processor(own_size, **overrides)

    def predict_on_batch(self, images):
        """Predicts any number of images.

        Args:
            images: Normalised images, an array `(images, height, width, 3)` of the model's size.

        Returns:
            Float32 array `(images, classes)` of logits.
        """
        images = self._as_taken(images)
        if not len(images):
            return np.zeros((0, self.num_classes), "float32")
        size = self.input_shape[0] or CHUNK
        padding = -len(images) % size if self.input_shape[0] else 0
        padded = np.concatenate([images, np.repeat(images[-1:], padding, axis=0)])
        with self._lock:
            logits = [self.runtime.run(padded[start : start + size]) for start in range(0, len(padded), size)]
        return np.concatenate(logits)[: len(images)]

    def seconds(self, images, runs):
        """Times calls of the export, in the process that runs it.

        Args:
            images: As for `predict_on_batch`; as many as the export takes in one call.
            runs: Number of timed calls.

        Returns:
            List of the seconds of each call.
        """
        images = self._as_taken(images)
        with self._lock:
            return self.runtime.seconds(images, runs)

    def _check_number_of_classes(self, metadata):
        counts = {"class names": len(self.class_names or ()), "num_classes": metadata.get("num_classes")}
        for name, count in counts.items():
            if count and count != self.num_classes:
                raise ValueError(
                    f"The metadata of {self.path} must fit its {self.num_classes} outputs. Received: {name} for {count} "
                    "classes. The metadata are of another model: export the model again."
                )

    def _as_taken(self, images):
        """Undoes the normalisation for an export of pixels."""
        images = keras.ops.convert_to_numpy(images).astype("float32", copy=False)
        if not self.runtime.takes_pixels:
            return images
        return (self.preprocessing or Preprocessing()).undo_normalisation(images)


def _open(name, path):
    runtime = {"litert": LiteRTRuntime, "onnx": OnnxRuntime, "openvino": OpenVinoRuntime}.get(name, SavedModelRuntime)
    if name == SAVED_MODEL and keras.backend.backend() != "tensorflow":
        runtime = subprocess_tensorflow.SavedModelProcess
    try:
        return runtime(path)
    except ImportError:
        raise
    except Exception as error:  # each runtime has classes of its own
        raise ValueError(f"{path} cannot be run as {name}. {error}") from error
