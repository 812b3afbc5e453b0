"""Labels as integers, as one-hot or mixed rows, or missing."""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops


@dataclasses.dataclass(frozen=True)
class Labels:
    """The labels of a batch.

    Attributes:
        targets: Input of the criterion: integers `(batch,)` for a sparse one, else rows `(batch, classes)`.
        classes: Integers `(batch,)`: the label, or the most probable class of its row; 0 where there is no label.
        labelled: Float32 `(batch,)`: 1 where there is a valid label, else 0.
        invalid: Float32 `(batch,)`: 1 where the label is out of range, else 0.
    """

    targets: Any
    classes: Any
    labelled: Any
    invalid: Any


def read_labels(y, num_classes, sparse):
    """Reads the labels of a batch.

    Args:
        y: Integers `(batch,)` or `(batch, 1)`, -1 meaning unlabelled; or rows `(batch, classes)`, all zeros meaning
            unlabelled.
        num_classes: Number of classes.
        sparse: Whether the criterion takes integers.

    Returns:
        `Labels`.

    Raises:
        ValueError: If `y` has another shape, or if it has rows and the criterion is sparse.
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
    classes, labelled, invalid = read_classes(y, num_classes)
    return Labels(classes if sparse else ops.one_hot(classes, num_classes), classes, labelled, invalid)


def read_classes(y, num_classes):
    """Reads integers that may be missing or out of range.

    Args:
        y: Integers `(batch,)` or `(batch, 1)`, -1 meaning missing.
        num_classes: Number of classes.

    Returns:
        Three tensors `(batch,)`: integers, 0 where missing or out of range; float32, 1 where valid; float32, 1 where out of
        range.
    """
    classes = ops.cast(ops.reshape(y, (-1,)), "int32")
    valid = ops.logical_and(classes >= 0, classes < num_classes)
    invalid = ops.logical_and(ops.logical_not(valid), classes != -1)
    return ops.where(valid, classes, 0), ops.cast(valid, "float32"), ops.cast(invalid, "float32")


def check_labels(y, num_classes):
    """Checks an array of labels before training starts.

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
    if decisions.size and (decisions.min() < -1 or decisions.max() >= num_classes):
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


def is_sparse(criterion):
    """Whether a loss given to `compile` takes integer labels."""
    return isinstance(criterion, keras.losses.SparseCategoricalCrossentropy) or (
        getattr(criterion, "__name__", "").startswith("sparse")
    )


def expects_probabilities(criterion):
    """Whether a loss given to `compile` takes its predictions for probabilities rather than logits."""
    criterion = keras.losses.get(criterion)
    if isinstance(criterion, keras.losses.KLDivergence):
        return True
    if isinstance(criterion, keras.losses.Loss):
        return criterion.get_config().get("from_logits") is False
    is_of_keras = getattr(criterion, "__module__", "").startswith("keras.")
    return is_of_keras and criterion.__name__.endswith(("crossentropy", "kl_divergence"))
