"""Labels as people have them: integers, one-hot or mixed rows, or none."""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops


@dataclasses.dataclass(frozen=True)
class Labels:
    """The labels of a batch.

    Attributes:
        targets: What the criterion is given: integers `(batch,)` for a sparse one, else rows `(batch, classes)`.
        classes: Integers `(batch,)`, the most probable class of each row; 0 where there is no label.
        labelled: Float32 `(batch,)`: 1 for a labelled example, 0 for an unlabelled one or an impossible class.
        impossible: Float32 `(batch,)`: 1 for an impossible class, else 0.
    """

    targets: Any
    classes: Any
    labelled: Any
    impossible: Any


def read_labels(y, num_classes, sparse):
    """Reads the labels of a batch.

    Args:
        y: Integers `(batch,)` or `(batch, 1)`, -1 meaning unlabelled; or rows `(batch, classes)`, all zeros meaning that.
        num_classes: Number of classes.
        sparse: Whether the criterion wants integers.

    Returns:
        `Labels`.

    Raises:
        ValueError: If `y` has another shape, or is given in rows to a sparse criterion.
    """
    y = ops.convert_to_tensor(y)
    if are_rows(y.shape, num_classes):
        if sparse:
            raise ValueError(
                "The labels are rows over the classes, and the loss is a sparse one. Compile with "
                "`keras.losses.CategoricalCrossentropy(from_logits=True)`."
            )
        rows = ops.cast(y, "float32")
        labelled = ops.cast(ops.any(rows != 0, axis=-1), "float32")
        return Labels(rows, ops.argmax(rows, axis=-1), labelled, ops.zeros_like(labelled))
    classes, labelled, impossible = read_classes(y, num_classes)
    return Labels(classes if sparse else ops.one_hot(classes, num_classes), classes, labelled, impossible)


def read_classes(y, num_classes):
    """Reads integers, some of which may be no class.

    Args:
        y: Integers `(batch,)` or `(batch, 1)`, -1 meaning none.
        num_classes: Number of classes.

    Returns:
        Integers `(batch,)`, 0 where there is no class; and two float32 tensors `(batch,)` that are 1 where there is one,
        and where the integer is an impossible one.
    """
    classes = ops.cast(ops.reshape(y, (-1,)), "int32")
    known = ops.logical_and(classes >= 0, classes < num_classes)
    impossible = ops.logical_and(ops.logical_not(known), classes != -1)
    return ops.where(known, classes, 0), ops.cast(known, "float32"), ops.cast(impossible, "float32")


def check_labels(y, num_classes):
    """Checks whole arrays of labels before training starts.

    Args:
        y: NumPy array, see `read_labels`.
        num_classes: Number of classes.

    Raises:
        ValueError: If the shape is wrong or a class is out of range.
    """
    if are_rows(y.shape, num_classes) or y.size == 0:
        return
    if not np.issubdtype(y.dtype, np.number):
        raise ValueError(f"Expected class labels as integers. Received: labels of dtype {y.dtype}")
    if not np.all(y == np.round(y)) or y.min() < -1 or y.max() >= num_classes:
        raise ValueError(
            f"Expected class labels as integers from 0 to {num_classes - 1} (-1 for an unlabelled example). Received: "
            f"labels from {y.min()} to {y.max()}. Build the student with the number of classes of your data, or count "
            "your classes from 0."
        )


def check_decisions(decisions, num_classes):
    """Checks a whole array of a teacher's stored decisions before training starts.

    Args:
        decisions: NumPy array of integers `(examples,)`.
        num_classes: Number of classes.

    Raises:
        ValueError: If a class is out of range.
    """
    if decisions.size and (decisions.min() < -1 or decisions.max() >= num_classes):
        raise ValueError(
            f"Expected the teacher's stored decisions as integers from 0 to {num_classes - 1} (-1 for none). Received: from "
            f"{decisions.min()} to {decisions.max()}. Was the teacher trained on the same classes?"
        )


def are_rows(shape, num_classes):
    """Whether labels of a shape are rows over the classes, not integers; a ValueError if they can be neither."""
    if len(shape) == 1 or (len(shape) == 2 and shape[-1] == 1):
        return False
    if len(shape) == 2 and shape[-1] == num_classes:
        return True
    raise ValueError(
        f"Expected labels as integers of shape (batch,), or as rows of shape (batch, {num_classes}). "
        f"Received: shape={tuple(shape)}"
    )


def is_sparse(criterion):
    """Whether a criterion, as given to `compile`, wants integers."""
    return isinstance(criterion, keras.losses.SparseCategoricalCrossentropy) or (
        getattr(criterion, "__name__", "").startswith("sparse")
    )


def answers_probabilities(criterion):
    """Whether a criterion, as given to `compile`, would take logits for probabilities."""
    criterion = keras.losses.get(criterion)
    if isinstance(criterion, keras.losses.KLDivergence):
        return True
    if isinstance(criterion, keras.losses.Loss):
        return criterion.get_config().get("from_logits") is False
    is_of_keras = getattr(criterion, "__module__", "").startswith("keras.")
    return is_of_keras and criterion.__name__.endswith(("crossentropy", "kl_divergence"))
