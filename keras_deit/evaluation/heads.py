"""The predictions of each head of a model, and of their fusion."""

import keras
import numpy as np

from keras_deit.fusion import MEANS, fuse
from keras_deit.imaging.channels import advise_wrapping
from keras_deit.models import DeiT, DeiTClassifier

FUSED, CLASS, DISTILLATION = "fused", "class", "distillation"
TEACHER = "teacher"  # beside the heads


class Heads:
    """A classifier that tells what each of its heads predicts.

    Args:
        model: A `DeiT`, a `DeiTClassifier`, or a Keras model with outputs `(batch, classes)`, such as a `RegNetY`.

    Raises:
        ValueError: If the model is none of these, does not take RGB images, or gives an image several classes.
    """

    def __init__(self, model):
        self.model = DeiTClassifier(model) if isinstance(model, DeiT) else model
        shape = getattr(self.model, "output_shape", None)
        if not isinstance(shape, tuple) or len(shape) != 2 or not shape[1]:
            raise ValueError(f"Expected a classifier with outputs (batch, classes). Received: {type(model).__name__}")
        _check_input(self.model)
        if getattr(self.model, "multi_label", False):
            raise ValueError(
                "The evaluation is for models that give an image one class. Received: a model with `multi_label=True`. "
                "In Python, call `evaluate` of the `Distiller` that trained the model."
            )
        self.num_classes = shape[1]
        self.has_two = isinstance(model, (DeiT, DeiTClassifier)) and self._both_count()

    def predict(self, images):
        """Predicts a batch.

        Args:
            images: Normalised images `(batch, height, width, 3)`.

        Returns:
            Dictionary of float arrays `(batch, classes)`, logits or what the model returns: `"fused"`, the prediction of the
            model; if two heads take part in it, also `"class"` and `"distillation"`.

        Raises:
            ValueError: If a prediction is not finite.
        """
        if self.has_two:
            heads = self.model.deit.predict_on_batch(images)
            logits = [keras.ops.convert_to_tensor(heads[name]) for name in (CLASS, DISTILLATION)]
            outputs = {FUSED: fuse(*logits, fusion=self.model.fusion), **heads}
        else:
            outputs = {FUSED: self.model.predict_on_batch(images)}
        outputs = {name: first_outputs(values, len(images)) for name, values in outputs.items()}
        check_finite(outputs[FUSED])
        return outputs

    def _both_count(self):
        return self.model.deit.distilled and self.model.fusion in MEANS and not self.model.token_merging


def _check_input(model):
    shape = getattr(model, "input_shape", None)
    is_of_images = isinstance(shape, tuple) and len(shape) == 4
    if is_of_images and shape[-1] == 3:
        return
    advice = "In Python, prepare the images yourself, and call the model's own `evaluate`."
    if is_of_images and shape[-1] == 1:
        advice = advise_wrapping(shape[1:], 3)
    raise ValueError(
        "The evaluation prepares RGB images for a model with one input (batch, height, width, 3). Received: a model with "
        f"input_shape={shape}. {advice}"
    )


def first_outputs(outputs, number):
    """Returns the outputs of `predict_on_batch` as an array with one row for each image.

    Args:
        outputs: Tensor or array. On TensorFlow with several replicas, Keras computes the batch on each replica and returns
            the outputs of all replicas one after the other.
        number: Number of images in the batch.
    """
    return keras.ops.convert_to_numpy(outputs)[:number]


def check_finite(predictions):
    """Checks the predictions of a model.

    Args:
        predictions: Array of logits or probabilities.

    Raises:
        ValueError: If one is not finite.
    """
    if not np.all(np.isfinite(predictions)):
        raise ValueError(
            "The model's predictions must be finite. Received: NaN among them. Its weights are damaged, or its training "
            "diverged; pass other --weights."
        )
