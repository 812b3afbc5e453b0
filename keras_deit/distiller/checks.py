"""What a Distiller refuses, and what it says then."""

import math

import keras
import numpy as np
from keras import ops

from keras_deit.distiller.labels import answers_probabilities, check_decisions, check_labels
from keras_deit.teacher import check_kind

DEFAULT_ALPHA = {"hard": 0.5, "soft": 0.1}
SOFT_REDUCTIONS = ("batch_mean", "official")
LARGEST_PIXEL = 5  # of images whose pixels should lie in 0..1 and may stick out a little after augmentation

_SWAPPED = "Are student and teacher swapped? Here the student comes first, unlike in keras.distillation.Distiller."


def check_settings(distillation, alpha, temperature, attention_weight, soft_reduction):
    """Raises a ValueError if a setting is out of range."""
    if distillation not in DEFAULT_ALPHA:
        raise ValueError(f"`distillation` must be one of {tuple(DEFAULT_ALPHA)}. Received: {distillation!r}")
    if alpha is not None and not 0 <= alpha <= 1:
        raise ValueError(f"`alpha` must lie in 0..1. Received: alpha={alpha}")
    if not temperature > 0:
        raise ValueError(f"`temperature` must be positive. Received: temperature={temperature}")
    if attention_weight < 0:
        raise ValueError(f"`attention_weight` must not be negative. Received: attention_weight={attention_weight}")
    if soft_reduction not in SOFT_REDUCTIONS:
        raise ValueError(f"`soft_reduction` must be one of {SOFT_REDUCTIONS}. Received: {soft_reduction!r}")


def check_student(student, teacher):
    """Raises a ValueError if the student is none, with a hint where the two seem to be swapped."""
    if not isinstance(student, keras.Model):
        raise ValueError(f"`student` must be a Keras model. {_SWAPPED} Received: {type(student).__name__}")
    outputs = symbolic_outputs(student)
    if outputs is None:
        raise ValueError(
            "The student's inputs and outputs must be known: wrap a subclassed model as "
            "`keras.Model(inputs := keras.Input(image_shape), student(inputs))`."
        )
    if (isinstance(outputs, dict) and "class" not in outputs) or isinstance(outputs, (list, tuple)):
        raise ValueError(
            "The student must answer with one output of logits (batch, classes), or with a dictionary that has `class` "
            f"and, for a second head, `distillation`. Received outputs: {outputs}"
        )
    two_heads_teach = isinstance(of_teacher := symbolic_outputs(teacher), dict) and "distillation" in of_teacher
    if two_heads_teach and not (isinstance(outputs, dict) and "distillation" in outputs):
        raise ValueError(
            f"The teacher has a distillation head and the student has none. {_SWAPPED} To teach with a DeiT, pass its "
            "fused `keras_deit.DeiTClassifier`."
        )


def symbolic_outputs(model):
    """The symbolic outputs of a model in their structure, or None where they are not known."""
    if isinstance(model, keras.Sequential):
        return model.outputs[0] if model.outputs else None
    return getattr(model, "output", None)


def check_separate(student, teacher):
    """Raises a ValueError if student and teacher share variables."""
    if {id(variable) for variable in student.variables} & {id(variable) for variable in teacher.variables}:
        raise ValueError(
            "Teacher and student share variables. Give the teacher its own: `clone = keras.models.clone_model(model)`, "
            "then `clone.set_weights(model.get_weights())`."
        )


def check_patches(student, teacher_patches, run):
    """Raises a ValueError if the student's attention cannot be compared with that of a teacher of so many patches."""
    if not hasattr(student, "call_with_attention"):
        raise ValueError(
            "`attention_weight` needs a student that gives its attention maps (a method `call_with_attention`), such "
            f"as a keras_deit model. Received: {type(student).__name__}"
        )
    images = ops.zeros((1, *student.input_shape[1:]))
    attention = run(lambda images: student.call_with_attention(images)[1][-1], images, student.variables)
    student_patches = attention.shape[-1] - student.num_prefix_tokens
    if student_patches != teacher_patches:
        raise ValueError(
            "Attention distillation compares patch with patch, so teacher and student need the same number of them: "
            "the same ratio of image size to patch size. "
            f"Received: {teacher_patches} patches of the teacher, {student_patches} of the student."
        )


def check_criterion(loss):
    """Raises a ValueError unless a loss given to `compile` is one criterion on logits that averages over the batch."""
    if loss is None or isinstance(loss, (dict, list, tuple)):
        raise ValueError(
            "`loss` must be one criterion, that of the class head, for example "
            f"keras.losses.CategoricalCrossentropy(from_logits=True). Received: loss={loss!r}"
        )
    if answers_probabilities(loss):
        raise ValueError(
            "The student answers with logits, and this loss would take them for probabilities. Pass a loss object "
            f"with `from_logits=True`. Received: loss={loss!r}"
        )
    reduction = getattr(loss, "reduction", "mean")
    if reduction not in ("mean", "sum_over_batch_size"):
        raise ValueError(
            "The loss must be the mean over the batch (`reduction='sum_over_batch_size'`, the default), as the "
            f"distillation term that it is added to is. Received: reduction={reduction!r}"
        )


def check_metric_names(metrics, reserved):
    """Raises a ValueError if a metric has the name of a log that is always reported."""
    for metric in metrics:
        if metric == "acc" or getattr(metric, "name", metric) in reserved:
            raise ValueError(
                "A metric needs a name of its own beside the logs that a Distiller always reports "
                f"({', '.join(reserved)}), for example "
                f"keras.metrics.CategoricalAccuracy(name='weighted_accuracy'). Received: {metric!r}"
            )


def check_arrays(x, y, sample_weight, num_classes, distillation, image_mean, image_std):
    """Raises a ValueError if arrays given to `fit` or `evaluate` cannot be what they should be; datasets pass."""
    if y is None and sample_weight is not None:
        raise ValueError(
            "Keras does not pass `sample_weight` on where there is no `y`. To weight unlabelled images, pass "
            "y=np.full(len(images), -1)."
        )
    if isinstance(x, dict) and "image" not in x:
        raise ValueError(f"`x` must be images, or a dictionary with `image` and `teacher`. Received keys: {sorted(x)}")
    if any(hasattr(part, "shape") and len(part.shape) and part.shape[0] == 0 for part in keras.tree.flatten(x)):
        raise ValueError("There are no images. Received: arrays of length 0")
    _check_pixels(x["image"] if isinstance(x, dict) else x, image_mean, image_std)
    if hasattr(y, "shape"):
        check_labels(_to_numpy(y), num_classes)
    stored = x.get("teacher") if isinstance(x, dict) else None
    if hasattr(stored, "shape"):
        stored = _to_numpy(stored)
        if stored.ndim == 1:
            check_decisions(stored, num_classes)
        elif distillation == "soft":
            check_kind(stored, "logits")


def check_batches(sizes, replicas):
    """Raises a ValueError if the replicas do not divide a batch of one of these sizes."""
    for size in sizes:
        if size % replicas:
            raise ValueError(
                f"The {replicas} replicas must divide every batch. Received: a batch of {size} images. Choose another "
                "batch size and drop the last examples, or pad them with sample weight 0 as "
                "`keras_deit.data.Batches` does."
            )


def batch_sizes(x, batch_size, validation_split=0):
    """Sizes of the first and the last batch of arrays or of a `keras.utils.PyDataset`; of other data none."""
    if isinstance(x, keras.utils.PyDataset):
        last = [x.num_batches - 1] if x.num_batches else []
        return [keras.tree.flatten(x[index])[0].shape[0] for index in (0, *last)]
    arrays = keras.tree.flatten(x)
    if not all(hasattr(array, "shape") for array in arrays):
        return []
    num_examples = math.floor(arrays[0].shape[0] * (1 - validation_split))
    batch_size = min(batch_size or 32, num_examples)
    return [batch_size, num_examples % batch_size] if batch_size else []


def _check_pixels(images, image_mean, image_std):
    if not hasattr(images, "shape") or len(images.shape) != 4:
        return
    pixels = _to_numpy(images[:32]).astype("float32") * np.asarray(image_std) + np.asarray(image_mean)
    if np.abs(pixels).max() > LARGEST_PIXEL:
        raise ValueError(
            "The images must be normalised by `image_mean` and `image_std` of the Distiller, of pixels in 0..1; for "
            "example (images / 255 - keras_deit.IMAGENET_MEAN) / keras_deit.IMAGENET_STD. Received: images whose "
            f"pixels would lie in {pixels.min():.4g}..{pixels.max():.4g}"
        )


def _to_numpy(array):
    return array if isinstance(array, np.ndarray) else ops.convert_to_numpy(array)
