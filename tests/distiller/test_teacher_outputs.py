"""The teacher's outputs in a batch."""

import keras
import numpy as np
import pytest

from keras_deit.distiller.teacher_outputs import read_teacher_outputs

ROWS = np.array([[1, 2, 3], [np.nan, 0, 0], [np.inf, 0, 0]], "float32")


def read(outputs, distillation="hard", multi_label=False):
    read = read_teacher_outputs({"teacher": outputs}, 3, distillation, multi_label)
    return [keras.ops.convert_to_numpy(values).tolist() for values in (read.logits, read.available, read.invalid)]


def test_rows_that_cannot_be_used_are_marked():
    assert read(ROWS) == [[[1, 2, 3], [0, 0, 0], [np.inf, 0, 0]], [1, 0, 1], [0, 1, 0]]
    assert read(ROWS, "soft") == [[[1, 2, 3], [0, 0, 0], [0, 0, 0]], [1, 0, 0], [0, 1, 1]]


def test_stored_classes_become_rows():
    logits, available, invalid = read(np.array([2, -1, 3], "int32"))
    assert logits[0] == [0, 0, 1]
    assert (available, invalid) == ([1, 0, 0], [0, 0, 1])


@pytest.mark.parametrize(("distillation", "multi_label"), [("soft", False), ("hard", True)])
def test_classes_are_refused_where_logits_are_needed(distillation, multi_label):
    with pytest.raises(ValueError, match=r"need the teacher's logits.*decisions of shape \(2,\)"):
        read(np.array([2, -1], "int32"), distillation, multi_label)


def test_images_alone_have_no_outputs():
    assert read_teacher_outputs(np.zeros((1, 8, 8, 3)), 3, "hard", False) is None
    assert read_teacher_outputs({"image": np.zeros((1, 8, 8, 3))}, 3, "hard", False) is None
