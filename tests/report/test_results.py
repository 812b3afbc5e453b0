"""The accuracies of a summary as a table."""

import pytest

from keras_deit.report.results import accuracies

pytestmark = pytest.mark.backend_independent
STUDENT = {"accuracy": 0.5, "class_accuracy": 0.4, "distillation_accuracy": 0.6, "teacher_agreement": 0.9, "loss": 1.0}


def test_every_evaluation_is_a_column():
    summary = {"student": STUDENT, "without_teacher": {"accuracy": 0.3, "loss": 2.0}, "teacher": {"accuracy": 0.8}}
    assert accuracies(summary) == (
        ["student", "no teacher"],
        [
            ("fused", [0.5, 0.3]),
            ("class head", [0.4, None]),
            ("distillation head", [0.6, None]),
            ("teacher", [0.8, None]),
            ("agreement with the teacher", [0.9, None]),
        ],
    )


def test_one_head_has_an_accuracy_that_is_not_called_fused():
    summary = {"student": {"accuracy": 0.5}, "student_average": {"accuracy": 0.6}, "teacher": {"accuracy": None}}
    assert accuracies(summary) == (["student", "average"], [("accuracy", [0.5, 0.6])])


def test_a_run_without_an_evaluation_has_no_table():
    assert accuracies({"student": None, "teacher": {"accuracy": 0.5}}) == ([], [])
