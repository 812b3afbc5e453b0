"""The plots of a run's report."""

import pytest

from keras_deit.report.charts import draw_charts
from tests.html_pages import Page

pytestmark = pytest.mark.backend_independent
pytest.importorskip("matplotlib", reason="the plots")


def described(history):
    return [image["alt"] for image in Page(f"<p>{''.join(draw_charts(history))}</p>").images]


def test_every_column_has_its_plot():
    row = {"epoch": 1, "learning_rate": 0.001, "images_per_second": 120.0, "waiting_for_data": 0.25, "loss": 2.5}
    row |= {"class_loss": 3.0, "val_loss": 2.25, "accuracy": 0.5, "class_accuracy": 0.4, "val_teacher_accuracy": 0.99}
    row |= {"teacher_agreement": 0.75, "token_similarity": 0.875}
    assert described([row]) == [
        "Loss over 1 epoch; in the last epoch: total, training 2.5, total, test 2.25, class head, training 3",
        "Accuracy over 1 epoch; in the last epoch: fused, training 0.5, class head, training 0.4, teacher, test 0.99",
        "Agreement with the teacher over 1 epoch; in the last epoch: fused and teacher, training 0.75",
        "Learning rate over 1 epoch; in the last epoch: learning rate 0.001",
        "Throughput over 1 epoch; in the last epoch: images per second 120",
        "Waiting for data over 1 epoch; in the last epoch: waiting for data 0.25",
        "Similarity of the two tokens over 1 epoch; in the last epoch: token similarity 0.875",
    ]


def test_one_head_is_the_model_and_missing_values_leave_gaps():
    history = [
        {"epoch": 1, "loss": None, "val_accuracy": 0.25},
        {"epoch": 2, "loss": float("nan"), "val_accuracy": 0.5},
    ]
    assert described(history) == [
        "Loss over 2 epochs; in the last epoch: total, training nan",
        "Accuracy over 2 epochs; in the last epoch: model, test 0.5",
    ]
