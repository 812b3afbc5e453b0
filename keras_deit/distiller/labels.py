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
        classes: Integers `(batch,)`, the most probable class of each row.
        labelled: Float32 `(batch,)`: 1 for a labelled example, 0 for an unlabelled one, NaN for an impossible class, which
            makes the loss NaN: the only way to be heard from inside a compiled step.
    """

    targets: Any
    classes: Any
    labelled: Any


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
    if _are_rows(y.shape, num_classes):
        if sparse:
            raise ValueError(
                "The labels are rows over the classes, and the loss is a sparse one. Compile with "
                "`keras.losses.CategoricalCrossentropy(from_logits=True)`."
            )
        rows = ops.cast(y, "float32")
        return Labels(rows, ops.argmax(rows, axis=-1), ops.cast(ops.any(rows != 0, axis=-1), "float32"))
    classes = ops.cast(ops.reshape(y, (-1,)), "int32")
    impossible = ops.logical_or(classes < -1, classes >= num_classes)
    labelled = ops.where(impossible, float("nan"), ops.cast(classes >= 0, "float32"))
    known = ops.clip(classes, 0, num_classes - 1)
    return Labels(known if sparse else ops.one_hot(known, num_classes), classes, labelled)


def check_labels(y, num_classes):
    """Checks whole arrays of labels before training starts.

    Args:
        y: NumPy array, see `read_labels`.
        num_classes: Number of classes.

    Raises:
        ValueError: If the shape is wrong or a class is out of range.
    """
    if _are_rows(y.shape, num_classes) or y.size == 0:
        return
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
    if decisions.min() < 0 or decisions.max() >= num_classes:
        raise ValueError(
            f"Expected the teacher's stored decisions as integers from 0 to {num_classes - 1}. Received: from "
            f"{decisions.min()} to {decisions.max()}. Was the teacher trained on the same classes?"
        )


def _are_rows(shape, num_classes):
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
