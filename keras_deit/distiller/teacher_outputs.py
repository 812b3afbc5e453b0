"""The teacher's outputs in a batch: logits, or stored decisions."""

import dataclasses
from typing import Any

from keras import ops

from keras_deit.distiller.labels import one_hot, read_classes


@dataclasses.dataclass(frozen=True)
class TeacherOutputs:
    """The teacher's outputs for a batch.

    Attributes:
        logits: `(batch, classes)`: logits, or predicted classes as one-hot rows.
        available: Float32 `(batch,)`: 1 where there is an output, else 0.
        invalid: Float32 `(batch,)`: 1 where an output is not finite or a stored class is out of range, else 0.
    """

    logits: Any
    available: Any
    invalid: Any


def read_teacher_outputs(x, num_classes, distillation, multi_label):
    """Reads the teacher's outputs of a batch. Those that cannot be used are marked, and do not count.

    Args:
        x: Images; or a dictionary that may have `teacher`: logits `(batch, classes)`, or for hard distillation classes as
            integers `(batch,)`, -1 meaning none.
        num_classes: Number of classes.
        distillation: See `keras_deit.Distiller`.
        multi_label: Whether an image may have any number of classes.

    Returns:
        `TeacherOutputs`; None if `x` has none.

    Raises:
        ValueError: If there are classes where logits are needed.
    """
    if not isinstance(x, dict) or "teacher" not in x:
        return None
    outputs = x["teacher"]
    if len(outputs.shape) == 2:
        is_number = ops.isfinite(outputs) if distillation == "soft" else ops.logical_not(ops.isnan(outputs))
        is_usable = ops.all(is_number, axis=-1)
        logits = ops.where(ops.expand_dims(is_usable, -1), outputs, ops.zeros_like(outputs))
        available = ops.cast(is_usable, "float32")
        return TeacherOutputs(logits, available, invalid=1 - available)
    if distillation != "hard" or multi_label:
        raise ValueError(
            "Soft distillation, a function of logits, or multi-label classes need the teacher's logits (batch, classes) as "
            f"stored outputs. Received: decisions of shape {tuple(outputs.shape)}"
        )
    decisions, available, invalid = read_classes(outputs, num_classes)
    return TeacherOutputs(one_hot(decisions, num_classes), available, invalid)
