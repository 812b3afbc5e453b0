"""Compares an export with its model: the export runs in its own runtime, the model in Keras."""

import dataclasses

import keras
import numpy as np

from keras_deit.export.exported_model import CHUNK, ExportedModel
from keras_deit.export.metadata import SIGMOID
from keras_deit.export.serving import image_shape, serving_model

PERCENTILES = (0, 10, 25, 50, 75, 90, 95, 99, 99.9, 100)
TOLERANCE = 1e-4  # largest accepted difference between two logits


@dataclasses.dataclass(frozen=True)
class Limits:
    """The accepted differences between an export and its model.

    Attributes:
        difference: Largest accepted absolute difference between two logits; None means any.
        agreement: Smallest accepted agreement, see `Report`; None means any.
    """

    difference: float | None = TOLERANCE
    agreement: float | None = None

    def __str__(self):
        parts = (
            [] if self.difference is None else [f"the largest difference of logits must be at most {self.difference:g}"]
        )
        parts += [] if self.agreement is None else [f"the agreement must be at least {self.agreement:.1%}"]
        return " and ".join(parts)


LIMITS = {  # by the quantization of the export
    None: Limits(),
    "float16": Limits(5e-3),
    "dynamic_int8": Limits(None, agreement=0.995),
    "int8": Limits(None, agreement=0.99),
}


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of comparing an export with its model. As a string, it is one line of text.

    Attributes:
        format: Name of the format: `"saved_model"`, `"litert"`, `"onnx"` or `"openvino"`, with the quantization if there is
            one, for example `"litert:int8"`.
        path: Path of the export, a string.
        size: Size of the export in bytes.
        images: Number of images that were compared.
        largest_difference: Largest absolute difference between a logit of the model and of the export.
        mean_difference: Mean absolute difference of the logits.
        difference_percentiles: Dictionary from percentiles to absolute differences. For the key `"99"`, 99 % of the logits
            differ by at most the value.
        agreement: Fraction of the images for which the export and the model predict the same class. For logits that decide
            each on its own (several labels, or one logit): fraction of all logits that have the same sign in both.
        accuracy: Fraction of the labelled images for which the export predicts the right class; None without labels.
        model_accuracy: Accuracy of the model on the same images.
        limits: The accepted differences, `Limits`.
        agrees: Whether the differences are within `limits`.
    """

    format: str
    path: str
    size: int
    images: int
    largest_difference: float
    mean_difference: float
    difference_percentiles: dict
    agreement: float
    accuracy: float | None
    model_accuracy: float | None
    limits: Limits
    agrees: bool

    def __str__(self):
        accuracies = (
            "" if self.accuracy is None else f", accuracy {self.accuracy:.2%} (of the model {self.model_accuracy:.2%})"
        )
        line = (
            f"{self.path} ({self.format}, {self.size / 1e6:.1f} MB): logits of {self.images} images differ by at most "
            f"{self.largest_difference:.1e}, agreement {self.agreement:.2%}{accuracies}"
        )
        return line if self.agrees else f"{line}: TOO LARGE A DIFFERENCE, {self.limits}: do not use this export"


def compare(model, path, images, labels=None, name=None, limits=None):
    """Compares the logits of an export and of its model on some images.

    The export runs in its own runtime: TensorFlow's loader (on JAX and PyTorch in a child process), LiteRT's interpreter,
    ONNX Runtime or OpenVINO, on the CPU. The model runs in float32, the precision of the export.

    Args:
        model: The model that was exported.
        path: The export: the directory of a SavedModel, an ONNX file whose name ends in `.onnx`, OpenVINO's `.xml` file, or
            a LiteRT file.
        images: At least one normalised image, as an array `(images, height, width, channels)`.
        labels: Integers `(images,)`: the right classes of the images, -1 for an unlabelled image; None without labels.
        name: Name of the format for the report; None means that of the file, with its quantization.
        limits: `keras_deit.export.report.Limits` that decide on `agrees`. None means a largest difference of 1e-4, or of
            5e-3 with the quantization `"float16"`; an agreement of 99.5 % with `"dynamic_int8"`, and of 99 % with `"int8"`.

    Returns:
        A `keras_deit.export.report.Report`, with the attributes `largest_difference` and `agrees`, among others.

    Raises:
        FileNotFoundError: If `path` does not exist.
        ImportError: If the runtime of the export is not installed; the message names the extra.
        RuntimeError: If the child process fails.
        ValueError: If the images do not fit the model, or the export is no classifier of images, or has another number of
            classes than the model.

    Example:

    ```python
    report = kd.export.compare(student, "student.tflite", test_images[:16])
    assert report.largest_difference < 1e-4
    ```
    """
    served, exported = serving_model(model), ExportedModel(path)
    images = images_of(served, images)
    return comparison(model_logits(served, images), exported, images, labels, name, limits)


def comparison(expected, exported, images, labels=None, name=None, limits=None, progress=None):
    """Compares an export with the logits of its model, see `compare`.

    Args:
        expected: Array `(images, classes)`, see `model_logits`.
        exported: `ExportedModel`.
        images, labels, name, limits: See `compare`.
        progress: See `model_logits`.

    Returns:
        A `Report`.

    Raises:
        ValueError: If the numbers of classes differ.
    """
    logits = _by_chunks(exported.predict_on_batch, images, progress)
    limits = limits or LIMITS[exported.quantization]
    if logits.shape != expected.shape:
        raise ValueError(
            f"{exported.path} must be an export of the model, whose logits have the shape {expected.shape}. Received: "
            f"logits of shape {logits.shape}"
        )
    with np.errstate(invalid="ignore"):  # of infinite logits, which `_keeps` refuses
        differences = np.abs(expected - logits)
        percentiles = np.percentile(differences, PERCENTILES)
    predicted, of_model = logits.argmax(axis=-1), expected.argmax(axis=-1)
    decisions = ((logits > 0) == (expected > 0)) if exported.activation == SIGMOID else predicted == of_model
    report = Report(
        format=name or ":".join(filter(None, (exported.format, exported.quantization))),
        path=str(exported.path),
        size=exported.size,
        images=len(images),
        largest_difference=float(differences.max()),
        mean_difference=float(differences.mean()),
        difference_percentiles={f"{at:g}": float(value) for at, value in zip(PERCENTILES, percentiles, strict=True)},
        agreement=float(np.mean(decisions)),
        accuracy=_accuracy(predicted, labels),
        model_accuracy=_accuracy(of_model, labels),
        limits=limits,
        agrees=False,
    )
    return dataclasses.replace(report, agrees=_keeps(report, limits))


def model_logits(served, images, progress=None):
    """Runs a model in Keras.

    Args:
        served: What `keras_deit.export.serving.serving_model` returns.
        images: Float32 array `(images, height, width, channels)`.
        progress: Function that is called with the number of images each time that some are done; None means no function.

    Returns:
        Float32 array `(images, classes)`.
    """
    return _by_chunks(lambda chunk: keras.ops.convert_to_numpy(served(chunk, training=False)), images, progress)


def _by_chunks(predict, images, progress):
    outputs = []
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK]
        outputs.append(predict(chunk))
        if progress is not None:
            progress(len(chunk))
    return np.concatenate(outputs)


def _accuracy(predicted, labels):
    if labels is None or not np.any(np.asarray(labels) >= 0):
        return None
    labels = np.asarray(labels)
    return float(np.mean((predicted == labels)[labels >= 0]))


def _keeps(report, limits):
    """False if a logit is NaN or infinite."""
    within = limits.difference is None or report.largest_difference <= limits.difference
    agrees = limits.agreement is None or report.agreement >= limits.agreement
    return within and agrees and bool(np.isfinite(report.largest_difference))


def images_of(served, images):
    """Checks the images for a comparison.

    Args:
        served: What `keras_deit.export.serving.serving_model` returns.
        images: Normalised images.

    Returns:
        Float32 array `(images, height, width, channels)`.

    Raises:
        ValueError: If there is no image, or the images do not fit the model.
    """
    shape = image_shape(served)
    images = np.asarray(keras.ops.convert_to_numpy(images), "float32")
    fits = images.ndim == 4 and all(size in (None, got) for size, got in zip(shape, images.shape[1:], strict=True))
    if not fits or not len(images):
        raise ValueError(
            f"Expected at least one image of shape {shape}, in an array (images, height, width, channels). "
            f"Received: an array of shape {images.shape}"
        )
    return images
