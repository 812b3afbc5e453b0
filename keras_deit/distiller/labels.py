"""Labels as integers, as one-hot, mixed or multi-label rows, or missing."""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

ROW_TOLERANCE = 1e-2  # by which the sum of a row may exceed 1, for rows in half precision


@dataclasses.dataclass(frozen=True)
class Labels:
    """The labels of a batch.

    Attributes:
        targets: Input of the criterion: integers `(batch,)` for a sparse one, else rows `(batch, classes)`.
        decisions: What accuracies compare with. Integers `(batch,)`: the label, or the most probable class of its row, 0
            where there is no label. With multi-label rows, booleans `(batch, classes)`.
        labelled: Float32 `(batch,)`: 1 where there is a valid label, else 0.
        invalid: Float32 `(batch,)`: 1 where the label is out of range, else 0. An invalid label is not used.
    """

    targets: Any
    decisions: Any
    labelled: Any
    invalid: Any


def read_labels(y, num_classes, sparse, multi_label=False):
    """Reads the labels of a batch.

    Args:
        y: Integers `(batch,)` or `(batch, 1)`, -1 meaning unlabelled; or rows `(batch, classes)` that sum to at most 1,
            all zeros or all -1 meaning unlabelled. With `multi_label`, rows in 0..1, all -1 meaning unlabelled.
        num_classes: Number of classes.
        sparse: Whether the criterion takes integers.
        multi_label: Whether each class of a row is a label of its own.

    Returns:
        `Labels`.

    Raises:
        ValueError: If `y` has another shape or is several arrays, or if it has rows and the criterion is sparse.
    """
    y = ops.convert_to_tensor(single_labels(y))
    if multi_label:
        check_multi_label_shape(y.shape, num_classes)
        return _read_rows(ops.reshape(y, (-1, num_classes)), multi_label)
    if are_rows(y.shape, num_classes):
        if sparse:
            raise ValueError(
                "The labels are rows over the classes, and the loss is a sparse one. Compile with "
                "`keras.losses.CategoricalCrossentropy(from_logits=True)`."
            )
        return _read_rows(y, multi_label)
    classes, labelled, invalid = read_classes(y, num_classes)
    return Labels(classes if sparse else one_hot(classes, num_classes), classes, labelled, invalid)


def single_labels(y):
    """The labels in a list of one array, as Keras takes those of a model; other arrays and lists of numbers as they are.

    Raises:
        ValueError: If `y` holds several arrays.
    """
    arrays = [each for each in keras.tree.flatten(y) if len(getattr(each, "shape", ()))]
    if isinstance(y, (list, tuple)) and len(y) == len(arrays) == 1:
        return y[0]
    if isinstance(y, dict) or (isinstance(y, (list, tuple)) and arrays):
        received = (
            f"a dictionary with the keys {sorted(y)}" if isinstance(y, dict) else f"a {type(y).__name__} of {len(y)}"
        )
        raise ValueError(
            "`y` must be one array of labels, which all heads of the student share: the labels train the class head, and "
            f"the teacher trains the distillation head. Received: {received}"
        )
    return y


def _read_rows(y, multi_label):
    rows = ops.cast(y, "float32")
    highest, limit = (ops.max(rows, axis=-1), 1) if multi_label else (ops.sum(rows, axis=-1), 1 + ROW_TOLERANCE)
    valid = ops.logical_and(ops.all(rows >= 0, axis=-1), highest <= limit)
    invalid = ops.logical_not(ops.logical_or(valid, ops.all(rows == -1, axis=-1)))
    rows = ops.where(ops.expand_dims(valid, -1), rows, ops.zeros_like(rows))
    labelled = valid if multi_label else ops.any(rows > 0, axis=-1)
    decisions = rows > 0.5 if multi_label else ops.argmax(rows, axis=-1)
    return Labels(rows, decisions, ops.cast(labelled, "float32"), ops.cast(invalid, "float32"))


def read_classes(y, num_classes):
    """Reads integers that may be missing or out of range.

    Args:
        y: Integers `(batch,)` or `(batch, 1)` of any dtype, -1 meaning missing.
        num_classes: Number of classes.

    Returns:
        Three tensors `(batch,)`: integers, 0 where missing or out of range; float32, 1 where valid; float32, 1 where out of
        range, a fraction or NaN.
    """
    values = ops.reshape(y, (-1,))
    classes = ops.cast(values, "int32")
    is_whole = ops.equal(ops.cast(classes, values.dtype), values)
    valid = ops.logical_and(is_whole, ops.logical_and(classes >= 0, classes < num_classes))
    missing = ops.logical_and(is_whole, classes == -1)
    invalid = ops.logical_not(ops.logical_or(valid, missing))
    return ops.where(valid, classes, ops.zeros_like(classes)), ops.cast(valid, "float32"), ops.cast(invalid, "float32")


def one_hot(classes, num_classes):
    """Returns float32 rows `(batch, classes)`; on PyTorch without the copy to the GPU that `keras.ops.one_hot` makes."""
    return ops.cast(ops.expand_dims(classes, -1) == ops.arange(num_classes, dtype="int32"), "float32")


def weigh_classes(y, class_weight, num_classes):
    """Gives each example the weight of its class.

    Args:
        y: Labels of exclusive classes, see `read_labels`. A mixed row has the weight of its most probable class.
        class_weight: Dictionary from classes to weights; a class that is missing has the weight 1.
        num_classes: Number of classes.

    Returns:
        Float32 tensor `(batch,)`: the weight, 1 for an unlabelled example.
    """
    labels = read_labels(y, num_classes, sparse=False)
    weights = ops.convert_to_tensor([float(class_weight.get(index, 1)) for index in range(num_classes)], "float32")
    return ops.where(labels.labelled > 0, ops.take(weights, labels.decisions), 1.0)


def check_labels(y, num_classes, multi_label=False):
    """Checks an array of labels before training starts.

    Args:
        y: NumPy array, see `read_labels`.
        num_classes: Number of classes.
        multi_label: See `read_labels`.

    Raises:
        ValueError: If the shape is wrong, a class is out of range, or rows do not fit `multi_label`.
    """
    if y.dtype != bool and not np.issubdtype(y.dtype, np.number):
        raise ValueError(f"Expected class labels as integers. Received: labels of dtype {y.dtype}")
    if multi_label:
        check_multi_label_shape(y.shape, num_classes)
        _check_multi_label_rows(y.reshape(-1, num_classes))
    elif are_rows(y.shape, num_classes):
        _check_rows(y)
    elif y.size:
        _check_integers(y, num_classes)


def _check_multi_label_rows(rows):
    fine = np.all((rows >= 0) & (rows <= 1), axis=-1) | np.all(rows == -1, axis=-1)
    if not np.all(fine):
        raise ValueError(
            "Expected multi-label rows with a value in 0..1 for each class, or a row of -1 for an unlabelled example. "
            f"Received: {np.sum(~fine)} other rows, the first of them {rows[~fine][0].tolist()}. Set the values of classes "
            "that are not known to 0 or 1, or label such an example with a row of -1."
        )


def _check_rows(rows):
    sums = rows.sum(axis=-1, dtype="float64")
    fine = (np.all(rows >= 0, axis=-1) & (sums <= 1 + ROW_TOLERANCE)) | np.all(rows == -1, axis=-1)
    if not np.all(fine):
        raise ValueError(
            "Expected rows that give each image one class, or shares of several classes that sum to 1. Received: "
            f"{np.sum(~fine)} other rows, the first of them {rows[~fine][0].tolist()}. If an image may have several classes "
            "at once, compile with `keras.losses.BinaryCrossentropy(from_logits=True)`, or with another loss that decides "
            "about each class, and build the Distiller with `multi_label=True`."
        )


def _check_integers(y, num_classes):
    if not np.all(y == np.round(y)) or y.min() < -1 or y.max() >= num_classes:
        raise ValueError(
            f"Expected class labels as integers from 0 to {num_classes - 1} (-1 for an unlabelled example). Received: "
            f"labels from {y.min()} to {y.max()}. Build the student with the number of classes of your data, or number "
            "your classes from 0."
        )


def check_decisions(decisions, num_classes):
    """Checks an array of a teacher's stored decisions before training starts.

    Args:
        decisions: NumPy array of integers `(examples,)`, -1 meaning none.
        num_classes: Number of classes.

    Raises:
        ValueError: If a class is out of range.
    """
    if decisions.size and not np.all(
        (decisions == np.round(decisions)) & (decisions >= -1) & (decisions < num_classes)
    ):
        raise ValueError(
            f"Expected the teacher's stored decisions as integers from 0 to {num_classes - 1} (-1 for none). Received: from "
            f"{decisions.min()} to {decisions.max()}. Check that the teacher was trained on the same classes."
        )


def are_rows(shape, num_classes):
    """Whether labels of a shape are rows over the classes rather than integers.

    Args:
        shape: Shape of the labels.
        num_classes: Number of classes.

    Returns:
        Bool.

    Raises:
        ValueError: If the shape is that of neither.
    """
    if len(shape) == 1 or (len(shape) == 2 and shape[-1] == 1):
        return False
    if len(shape) == 2 and shape[-1] == num_classes:
        return True
    raise ValueError(
        f"Expected labels as integers of shape (batch,), or as rows of shape (batch, {num_classes}). "
        f"Received: shape={tuple(shape)}"
    )


def check_multi_label_shape(shape, num_classes):
    """Checks that labels of a shape have a value for each class.

    Args:
        shape: Shape of the labels.
        num_classes: Number of classes.

    Raises:
        ValueError: If they have not. With a single class, `(batch,)` is accepted too.
    """
    if tuple(shape[1:]) == (num_classes,) or (num_classes == 1 and len(shape) == 1):
        return
    raise ValueError(
        f"The loss is a multi-label one, so labels must be rows of shape (batch, {num_classes}) with a value in 0..1 for "
        f"each class. Received: shape={tuple(shape)}. If each image has one class and the loss is still meant, build the "
        "Distiller with `multi_label=False`, which also takes integers."
    )


def is_multi_label(criterion):
    """Whether a loss given to `compile` decides about each class on its own, as far as its type tells."""
    return isinstance(criterion, (keras.losses.BinaryCrossentropy, keras.losses.BinaryFocalCrossentropy))


def is_sparse(criterion):
    """Whether a loss given to `compile` takes integer labels."""
    return isinstance(criterion, keras.losses.SparseCategoricalCrossentropy) or (
        getattr(criterion, "__name__", "").startswith("sparse")
    )


def takes_integers_alone(criterion, num_classes):
    """Whether an own loss given to `compile` fails on rows and takes integers, which is tried on a small batch.

    Args:
        criterion: See `Distiller.compile`.
        num_classes: Number of classes.

    Returns:
        Bool; False for a loss of Keras, whose type tells.

    Raises:
        ValueError: If the loss takes integers, but does not return one value for each example or their mean.
    """
    criterion = keras.losses.get(criterion)
    is_object = isinstance(criterion, keras.losses.Loss)
    if (type(criterion) if is_object else criterion).__module__.startswith("keras."):
        return False
    call = criterion.call if is_object else criterion
    size = num_classes + 1  # in a batch of as many examples as classes, wrong broadcasting would pass
    integers = np.arange(size) % num_classes
    if _shape_of_loss(call, np.eye(num_classes)[integers], num_classes) is not None:
        return False
    # Keras calls functions with a column of integers.
    shape = _shape_of_loss(call, integers if is_object else integers[:, None], num_classes)
    if shape not in (None, (), (size,)):
        raise ValueError(
            f"The loss takes integer labels and must return one value for each example. Received: values of shape {shape} "
            f"for {size} labels of shape {integers.shape if is_object else (size, 1)}. A loss of one-hot rows (batch, "
            f"{num_classes}) is simplest: the Distiller makes them from integers."
        )
    return shape is not None


def expects_probabilities(criterion):
    """Whether a loss given to `compile` takes its predictions for probabilities rather than logits."""
    criterion = keras.losses.get(criterion)
    if isinstance(criterion, keras.losses.KLDivergence):
        return True
    if isinstance(criterion, keras.losses.Loss):
        return criterion.get_config().get("from_logits") is False
    is_of_keras = getattr(criterion, "__module__", "").startswith("keras.")
    return is_of_keras and criterion.__name__.endswith(("crossentropy", "kl_divergence"))


def _shape_of_loss(call, labels, num_classes):
    """Shape of the values of a loss for labels; None if the loss raises an error."""
    labels = ops.convert_to_tensor(labels, "float32")  # the dtype in which Keras passes labels
    try:
        return tuple(call(labels, ops.zeros((len(labels), num_classes))).shape)
    except Exception:  # an own function may raise anything, and the first batch raises what matters
        return None
