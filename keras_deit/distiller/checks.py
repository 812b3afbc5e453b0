"""Checks of a Distiller's arguments and data, and their error messages."""

import math

import keras
import numpy as np
from keras import ops

from keras_deit.distiller.labels import check_decisions, check_labels, expects_probabilities, is_sparse
from keras_deit.imaging.pixel_range import check_normalized
from keras_deit.teacher import check_output_kind

DISTILLATIONS = ("hard", "soft")
SOFT_REDUCTIONS = ("batch_mean", "official")
HEADS = {"class", "distillation"}  # outputs of a student
ENOUGH_LOGITS = 16  # of which not all lie in 0..1 by chance; the first batch of a dataset may be a single image

_SWAPPED = "Are student and teacher swapped? Here the student comes first, unlike in keras.distillation.Distiller."

_OF_SCALING_STUDENTS = (
    "If the student itself scales pixels in 0..255, as with a layer `Rescaling`, build the Distiller with image_mean=0 and "
    "image_std=1/255."
)


def check_settings(distillation, alpha, temperature, attention_weight, soft_reduction):
    """Checks the settings of a Distiller.

    Raises:
        ValueError: If one is out of range.
    """
    if not callable(distillation) and distillation not in DISTILLATIONS:
        raise ValueError(
            f"`distillation` must be one of {DISTILLATIONS}, or a function of teacher_logits and student_logits. "
            f"Received: {distillation!r}"
        )
    if _compares_probabilities(distillation):
        raise ValueError(
            "A function given as `distillation` gets logits of teacher and student, and this loss of Keras compares "
            "probabilities or labels with predictions. Pass `distillation='soft'` for the Kullback-Leibler divergence of "
            "the softened distributions, or a function that computes the probabilities itself: `lambda teacher, student: "
            "keras.losses.kl_divergence(keras.ops.softmax(teacher), keras.ops.softmax(student))`. Received: "
            f"distillation={distillation!r}"
        )
    if alpha is not None and not 0 <= alpha <= 1:
        raise ValueError(f"`alpha` must lie in 0..1. Received: alpha={alpha}")
    if not temperature > 0:
        raise ValueError(f"`temperature` must be positive. Received: temperature={temperature}")
    if attention_weight < 0:
        raise ValueError(f"`attention_weight` must not be negative. Received: attention_weight={attention_weight}")
    if soft_reduction not in SOFT_REDUCTIONS:
        raise ValueError(f"`soft_reduction` must be one of {SOFT_REDUCTIONS}. Received: {soft_reduction!r}")


def check_attention_log(name, value, logs):
    """Checks that a setting assigned to a Distiller leaves the logs as they are.

    Args:
        name, value: The setting and its new value.
        logs: Names of the logs.

    Raises:
        ValueError: If attention distillation begins in a Distiller that was built without it.
    """
    if name == "attention_weight" and value > 0 and "attention_loss" not in logs:
        raise ValueError(
            "`attention_weight` can be raised from 0 only in a Distiller that was built with a positive one, which checks "
            "the models and has the log `attention_loss`. Build the Distiller with a positive `attention_weight`, then "
            f"assign 0 until the weight is needed. Received: attention_weight={value}"
        )


def _compares_probabilities(distillation):
    """Whether a function given as `distillation` is a cross-entropy or divergence of Keras."""
    definition = distillation if hasattr(distillation, "__name__") else type(distillation)
    name = definition.__name__.replace("_", "").lower()
    module = definition.__module__ or ""  # None for a function that `exec` defined
    return module.startswith("keras.") and name.endswith(("crossentropy", "kldivergence"))


def check_student(student, teacher):
    """Checks that a student is a model from one tensor of images to suitable outputs.

    Raises:
        ValueError: If it is not, with a hint if student and teacher seem to be swapped.
    """
    if not isinstance(student, keras.Model):
        raise ValueError(f"`student` must be a Keras model. {_SWAPPED} Received: {type(student).__name__}")
    outputs = symbolic_outputs(student)
    if outputs is None:
        raise ValueError(
            "The student's inputs and outputs must be known: wrap a subclassed model as "
            "`keras.Model(inputs := keras.Input(image_shape), student(inputs))`."
        )
    shapes = [tuple(tensor.shape) for tensor in student.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            "The student must take one tensor of images (batch, height, width, channels). Received: a student with "
            f"{len(shapes)} inputs, of the shapes {shapes}. Build the student on images alone."
        )
    if (isinstance(outputs, dict) and "class" not in outputs) or isinstance(outputs, (list, tuple)):
        raise ValueError(
            "The student must return one tensor of logits (batch, classes), or a dictionary that has `class` and, for a "
            f"second head, `distillation`. Received outputs: {outputs}"
        )
    if isinstance(outputs, dict):
        for name in sorted(HEADS & outputs.keys()):
            _check_last_activation(keras.Model(student.inputs, outputs[name]), f"its output {name!r}")
    else:
        _check_last_activation(student, "it")
    if _has_distillation_head(symbolic_outputs(teacher)) and not _has_distillation_head(outputs):
        raise ValueError(
            f"The teacher has a distillation head and the student has none. {_SWAPPED} To teach with a DeiT, pass its "
            "fused `keras_deit.DeiTClassifier`."
        )


def _check_last_activation(model, subject):
    """Checks that a model with one output does not end in a softmax or a sigmoid."""
    last = _last_operations(model)
    found = [_activation(operation) for operation in last]
    if found and all(name in ("softmax", "sigmoid") for name in found):
        raise ValueError(
            f"The student must return logits, and {subject} ends in a {found[0]}. Build it without the activation: "
            "`classifier_activation=None` for a model of keras.applications, otherwise the last layer with "
            f"`activation=None`. Received: the last layer {last[0].name!r}"
        )


def _last_operations(model):
    """The last operation of a model with one output; of a model inside that has several outputs, those of each output."""
    steps = model.layers if isinstance(model, keras.Sequential) else getattr(model, "operations", None)
    last = steps[-1] if steps else None
    if not isinstance(last, keras.Model):
        return [last]
    outputs = symbolic_outputs(last)
    if not isinstance(outputs, (dict, list, tuple)):
        return _last_operations(last)
    heads = [keras.Model(last.inputs, tensor) for tensor in keras.tree.flatten(outputs)]
    return [operation for head in heads for operation in _last_operations(head)]


def _activation(operation):
    names = getattr(getattr(operation, "activation", None), "__name__", ""), type(operation).__name__.lower()
    return next((name for name in names if name in ("softmax", "sigmoid")), None)


def symbolic_outputs(model):
    """The symbolic outputs of a model in their structure, or None where they are not known."""
    if isinstance(model, keras.Sequential):
        return model.outputs[0] if model.outputs else None
    return getattr(model, "output", None)


def check_no_shared_variables(student, teacher):
    """Checks that student and teacher have no variable in common.

    Raises:
        ValueError: If they have one.
    """
    if {id(variable) for variable in student.variables} & {id(variable) for variable in teacher.variables}:
        raise ValueError(
            "Teacher and student share variables. Give the teacher its own: `clone = type(model).from_config("
            "model.get_config())`, then `clone.set_weights(model.get_weights())`."
        )


def check_patches(student, teacher_patches, run):
    """Checks that the student's attention maps can be compared with the teacher's.

    Args:
        student: The student.
        teacher_patches: Number of patches in the teacher's attention maps.
        run: Function that calls `function(images)` as `run(function, images, variables)`.

    Raises:
        ValueError: If the student has no attention maps, or another number of patches.
    """
    if not hasattr(student, "call_with_attention"):
        raise ValueError(
            "`attention_weight` needs a student with a method `call_with_attention`, such as a keras_deit model. "
            f"Received: {type(student).__name__}"
        )
    images = ops.zeros((1, *student.input_shape[1:]))
    attention = run(lambda images: student.call_with_attention(images)[1][-1], images, student.variables)
    student_patches = attention.shape[-1] - student.num_prefix_tokens
    if student_patches != teacher_patches:
        raise ValueError(
            "Attention distillation compares patch with patch, so teacher and student need the same number of patches: the "
            "same ratio of image size to patch size. "
            f"Received: {teacher_patches} patches of the teacher, {student_patches} of the student."
        )


def check_criterion(loss):
    """Checks that the loss given to `compile` is one criterion of logits, averaged over the batch.

    Raises:
        ValueError: If it is not.
    """
    if loss is None or isinstance(loss, (dict, list, tuple)):
        raise ValueError(
            "`loss` must be one criterion, that of the class head, for example "
            f"keras.losses.CategoricalCrossentropy(from_logits=True). Received: loss={loss!r}"
        )
    if expects_probabilities(loss):
        raise ValueError(
            "The student returns logits, and this loss would take them for probabilities. Pass a loss object with "
            f"`from_logits=True`. Received: loss={loss!r}"
        )
    reduction = getattr(loss, "reduction", "mean")
    if reduction not in ("mean", "sum_over_batch_size"):
        raise ValueError(
            "The loss must be the mean over the batch (`reduction='sum_over_batch_size'`, the default), as the distillation "
            f"term is. Received: reduction={reduction!r}"
        )


def check_multi_label(loss, fusion, teacher):
    """Checks that loss, fusion and teacher decide about each class on its own.

    Args:
        loss: The `loss` given to `compile`.
        fusion: See `Distiller`.
        teacher: A `Teacher`, or None.

    Raises:
        ValueError: If one of them takes the classes of an image as exclusive.
    """
    if is_sparse(loss):
        raise ValueError(
            "`multi_label=True` needs a loss that decides about each class, such as "
            f"keras.losses.BinaryCrossentropy(from_logits=True). Received: loss={loss!r}, for which an image has one class"
        )
    if fusion == "mean_probabilities":
        raise ValueError(
            "With multi-label classes there is no softmax over the classes, whose mean `fusion='mean_probabilities'` takes. "
            "Choose `fusion='mean_logits'`."
        )
    if teacher is not None and teacher.outputs == "probabilities":
        raise ValueError(
            "A multi-label student needs a teacher that decides about each class: `outputs='logits'`, or "
            "`outputs='sigmoid'` for probabilities of each class. Received: a teacher with `outputs='probabilities'`, a "
            "softmax over the classes"
        )


def check_num_classes(num_classes):
    """Checks that a student of exclusive classes has at least two.

    Raises:
        ValueError: If it has one.
    """
    if num_classes == 1:
        raise ValueError(
            "The student has one logit, and this loss compares classes that exclude each other: the softmax over one class "
            "is always 1, the loss 0 and the accuracy 1. Build the student with num_classes=2 and label the images 0 and 1; "
            "or compile with `keras.losses.BinaryCrossentropy(from_logits=True)`, for which the one logit decides between 0 "
            "and 1. For another loss that does so, build the Distiller with `multi_label=True`."
        )


def check_class_weight(class_weight, num_classes, multi_label):
    """Checks the weights of classes given to `fit`.

    Raises:
        ValueError: If they are no dictionary by class, or if an example may have several classes.
    """
    if class_weight is None:
        return
    if not isinstance(class_weight, dict) or not set(class_weight) <= set(range(num_classes)):
        raise ValueError(
            f"`class_weight` must be a dictionary from classes, integers from 0 to {num_classes - 1}, to weights. Received: "
            f"class_weight={class_weight!r}"
        )
    if multi_label:
        raise ValueError(
            "`class_weight` needs examples of one class each, and the labels are multi-label rows. Pass `sample_weight` "
            "instead of `class_weight`."
        )


def check_metrics(metrics, reserved):
    """Checks the metrics given to `compile`.

    Args:
        metrics: Pairs of the name of a log and its `LabelledOnly`.
        reserved: Names of the logs that a Distiller always reports.

    Raises:
        ValueError: If a metric has the name of such a log, takes logits for probabilities, or has a threshold of
            probabilities that is not above 0.
    """
    for name, metric in metrics:
        if name in reserved or name in ("acc", "loss"):
            raise ValueError(
                "A metric must not have the name of a log that a Distiller always reports "
                f"({', '.join(reserved)}). Give it another, for example "
                f"keras.metrics.CategoricalAccuracy(name='weighted_accuracy'). Received: {name!r}"
            )
        is_of_keras = metric.label_form != "any"
        if is_of_keras and metric.metric.get_config().get("from_logits") is False:
            raise ValueError(
                "Metrics get logits, and this one would take them for probabilities. Pass a metric object with "
                f"`from_logits=True`, such as keras.metrics.AUC(from_logits=True). Received: {name!r}"
            )
        thresholds = [getattr(metric.metric, one, None) for one in ("threshold", "thresholds")]
        thresholds = [one for one in keras.tree.flatten(thresholds) if one is not None]
        if metric.takes_probabilities and thresholds and max(thresholds) <= 0:
            raise ValueError(
                "Metrics with a threshold get probabilities, so the threshold must be above 0: 0.5 where the threshold of "
                f"logits is 0. Received: {name!r} with the threshold {max(thresholds)}"
            )


def check_distillation_values(values):
    """Checks what a function given as `distillation` has returned.

    Raises:
        ValueError: If it is no tensor `(batch,)`.
    """
    shape = getattr(values, "shape", None)
    if shape is None or len(shape) != 1:
        received = type(values).__name__ if shape is None else f"shape={tuple(shape)}"
        raise ValueError(
            "The function given as `distillation` must return one value for each example, a tensor (batch,). A Keras loss "
            f"object does so with reduction='none'. Received: {received}"
        )


def check_arrays(x, y, sample_weight, num_classes, multi_label):
    """Checks arrays given to `fit` or `evaluate`, but for the values of `x`. Datasets are not checked.

    Raises:
        ValueError: If arrays are empty, or labels are out of range.
    """
    if y is None and sample_weight is not None:
        raise ValueError(
            "Keras ignores `sample_weight` where there is no `y`. To weight unlabelled images, pass "
            "y=np.full(len(images), -1)."
        )
    check_keys(x)
    if any(hasattr(array, "shape") and len(array.shape) and array.shape[0] == 0 for array in keras.tree.flatten(x)):
        raise ValueError("There are no images. Received: arrays of length 0")
    if hasattr(y, "shape"):
        check_labels(_to_numpy(y), num_classes, multi_label)


def check_keys(x):
    """Checks the keys of a batch that is a dictionary, such as a record of a dataset with its label.

    Raises:
        ValueError: If it has no images, or holds anything else than images and the teacher's outputs.
    """
    if isinstance(x, dict) and ("image" not in x or set(x) - {"image", "teacher", "teacher_attention"}):
        raise ValueError(
            "`x` must be images, or a dictionary with `image` and, for stored outputs, `teacher`. Labels come beside the "
            "images, as `(images, labels)`: for a tf.data.Dataset of dictionaries `dataset.map(lambda batch: "
            "(batch['image'], batch['label']))`, for TFDS `as_supervised=True`, for a DataLoader a `collate_fn`. Received "
            f"keys: {sorted(x)}"
        )


def single(x):
    """The entry of a list or tuple of one, as Keras takes the input of a model; anything else as it is."""
    return x[0] if isinstance(x, (list, tuple)) and len(x) == 1 else x


def check_loss_inputs(x, y_pred, attention):
    """Checks that the loss of a training step has all that it compares.

    Args:
        x, y_pred: See `Distiller.compute_loss`.
        attention: Whether attention maps are compared too.

    Raises:
        ValueError: If the teacher's outputs or the student's attention maps are missing.
    """
    own_loop = (
        "In a training loop of your own, make them outside of the gradient with `x, y, sample_weight = "
        "distiller.add_teacher_outputs((x, y), training=True)`, then call `y_pred = distiller(x, training=True)` and "
        "`distiller.compute_loss(x, y, y_pred, sample_weight)`."
    )
    if not isinstance(x, dict) or "teacher" not in x or (attention and "teacher_attention" not in x):
        received = sorted(x) if isinstance(x, dict) else type(x).__name__
        raise ValueError(f"The loss needs the outputs of the teacher in `x`. {own_loop} Received: x={received}")
    if attention and not (isinstance(y_pred, dict) and "attention" in y_pred):
        raise ValueError(
            f"Attention distillation needs the attention maps of the student in `y_pred`. {own_loop} Received: "
            f"y_pred={sorted(y_pred) if isinstance(y_pred, dict) else type(y_pred).__name__}"
        )


def check_images(x, image_mean, image_std):
    """Checks the images of a batch.

    Args:
        x: See `check_x`.
        image_mean, image_std: See `Distiller`.

    Raises:
        ValueError: If images are not normalised as declared, or a dictionary has other keys. A warning if the images seem to
            be pixels in 0..1.
    """
    check_keys(x)
    images = x["image"] if isinstance(x, dict) else single(x)
    if len(getattr(images, "shape", ())) == 4:
        check_normalized(images, image_mean, image_std, advice=_OF_SCALING_STUDENTS)


def check_x(x, image_mean, image_std, num_classes, needs_logits):
    """Checks the images and the stored outputs of a batch.

    Args:
        x: Images, or a dictionary with `image` and perhaps `teacher`. Images that are no tensor of four dimensions pass.
        image_mean, image_std: See `Distiller`.
        num_classes: Number of classes.
        needs_logits: Whether stored outputs `(batch, classes)` must be logits. If not, only their largest value counts.

    Raises:
        ValueError: If images are not normalised as declared, a dictionary has other keys, or stored outputs are out of
            range, not finite or of another kind. A warning if the images seem to be pixels in 0..1.
    """
    check_images(x, image_mean, image_std)
    stored = x.get("teacher") if isinstance(x, dict) else None
    if hasattr(stored, "shape"):
        _check_stored_outputs(_to_numpy(stored), num_classes, needs_logits)


def _check_stored_outputs(stored, num_classes, needs_logits):
    if stored.ndim == 1:
        check_decisions(stored, num_classes)
    elif needs_logits:
        check_output_kind(stored, "logits", are_surely_logits=stored.size < ENOUGH_LOGITS)
    elif np.isnan(stored).any():
        raise ValueError(
            "The stored outputs of the teacher must be finite. Received: NaN for "
            f"{np.isnan(stored).any(axis=-1).sum()} of {len(stored)} images. Store them again; or store decisions, integers "
            "(images,) with -1 for an image without one."
        )


def check_batches(sizes, replicas):
    """Checks that batches can be shared by replicas.

    Args:
        sizes: Sizes of batches.
        replicas: Number of replicas.

    Raises:
        ValueError: If a size is no multiple of the number of replicas.
    """
    for size in sizes:
        if size % replicas:
            raise ValueError(
                f"The {replicas} replicas must divide every batch. Received: a batch of {size} images. Choose another "
                "batch size and drop the last examples, or pad them with sample weight 0 as "
                "`keras_deit.data.InputPipeline` does."
            )


def batch_sizes(x, batch_size, validation_split=0):
    """Sizes of the first and the last batch of arrays or of a `keras.utils.PyDataset`; an empty list for other data."""
    if isinstance(x, keras.utils.PyDataset):
        last = [x.num_batches - 1] if x.num_batches else []
        return [keras.tree.flatten(x[index])[0].shape[0] for index in (0, *last)]
    arrays = keras.tree.flatten(x)
    if not all(hasattr(array, "shape") for array in arrays):
        return []
    num_examples = math.floor(arrays[0].shape[0] * (1 - validation_split))
    batch_size = min(batch_size or 32, num_examples)
    return [batch_size, num_examples % batch_size] if batch_size else []


def _has_distillation_head(outputs):
    return isinstance(outputs, dict) and "distillation" in outputs


def _to_numpy(array):
    return array if isinstance(array, np.ndarray) else ops.convert_to_numpy(array)
