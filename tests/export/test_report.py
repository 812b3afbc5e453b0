"""An export is compared with its model, and the result is a report."""

import dataclasses

import numpy as np
import pytest

from keras_deit.export import to_onnx
from keras_deit.export.exported_model import ExportedModel
from keras_deit.export.report import Limits, Report, compare, comparison
from tests.export.students import images, needs_litert, needs_onnx, student


@needs_litert
def test_an_export_of_another_model_does_not_agree(exported):
    model, directory, _ = exported
    other = type(model).from_config(model.get_config())  # fresh weights
    report = compare(other, directory / "student.tflite", images(2))
    assert report.largest_difference > 0.1
    assert not report.agrees


@needs_litert
def test_images_that_do_not_fit_are_refused(exported):
    model, directory, _ = exported
    for wrong in (images(1)[0], images(1, 64), images(0), np.moveaxis(images(1), -1, 1)):
        with pytest.raises(ValueError, match=r"at least one image of shape \(32, 32, 3\)"):
            compare(model, directory / "student.tflite", wrong)


REPORT = Report(
    format="litert",
    path="runs/1/student.tflite",
    size=23_800_000,
    images=16,
    largest_difference=4.9e-6,
    mean_difference=1e-6,
    difference_percentiles={},
    agreement=1.0,
    accuracy=None,
    model_accuracy=None,
    limits=Limits(),
    agrees=True,
)


def test_a_report_prints_as_one_line():
    assert str(REPORT) == (
        "runs/1/student.tflite (litert, 23.8 MB): logits of 16 images differ by at most 4.9e-06, agreement 100.00%"
    )
    with_accuracy = dataclasses.replace(REPORT, accuracy=0.9, model_accuracy=0.925)
    assert str(with_accuracy).endswith("agreement 100.00%, accuracy 90.00% (of the model 92.50%)")
    failed = dataclasses.replace(REPORT, agrees=False, limits=Limits(None, 0.99))
    assert "the agreement must be at least 99.0%: do not use this export" in str(failed)


class FakeExport:
    """An export with given logits."""

    format, path, size = "litert", "student.tflite", 1

    def __init__(self, logits, activation="softmax", quantization=None):
        self.logits, self.activation, self.quantization = np.array(logits), activation, quantization

    def predict_on_batch(self, images):
        assert len(images) == len(self.logits)
        return self.logits


@pytest.mark.parametrize(
    ("limits", "agrees"),
    [
        (Limits(0.5), True),
        (Limits(0.4), False),
        (Limits(None, 0.75), True),
        (Limits(None, 0.8), False),
        (Limits(0.5, 0.8), False),
        (Limits(None, None), True),
    ],
)
def test_differences_agreement_and_accuracy(limits, agrees):
    expected = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.3, 0.0]])
    export = FakeExport([[1.0, 0.0], [0.9, 0.0], [0.0, 1.0], [0.3, 0.5]])
    report = comparison(expected, export, np.zeros((4, 2, 2, 3)), labels=[0, 1, -1, 1], limits=limits)
    assert report.largest_difference == pytest.approx(0.5)
    assert report.mean_difference == pytest.approx(0.6 / 8)
    assert (report.agreement, report.accuracy, report.model_accuracy) == (0.75, 2 / 3, 1 / 3)
    assert report.difference_percentiles["50"] == pytest.approx(0.0)
    assert report.difference_percentiles["100"] == pytest.approx(0.5)
    assert report.agrees is agrees


@pytest.mark.parametrize(
    ("quantization", "name", "limits"),
    [
        (None, "litert", Limits(1e-4)),
        ("float16", "litert:float16", Limits(5e-3)),
        ("dynamic_int8", "litert:dynamic_int8", Limits(None, 0.995)),
        ("int8", "litert:int8", Limits(None, 0.99)),
    ],
)
def test_the_quantization_of_the_export_decides_on_the_limits(quantization, name, limits):
    export = FakeExport([[1.0, 0.0]], quantization=quantization)
    report = comparison(np.array([[1.0, 0.0]]), export, np.zeros((1, 2, 2, 3)))
    assert (report.format, report.limits) == (name, limits)


def test_a_logit_that_is_nan_never_agrees():
    images = np.zeros((1, 2, 2, 3))
    report = comparison(np.zeros((1, 2)), FakeExport([[0.0, np.nan]]), images, limits=Limits(None, 0.0))
    assert not report.agrees
    assert comparison(np.zeros((1, 2)), FakeExport([[0.0, 0.0]]), images, labels=[-1]).accuracy is None


def test_logits_that_decide_each_on_its_own_agree_by_their_signs():
    expected = np.array([[5.0, 1.0, -1.0, -2.0], [6.0, -1.0, 3.0, 0.5]])
    logits = np.array([[5.0, -1.0, -1.0, -2.0], [6.0, -1.0, 3.0, -0.5]])  # the largest of each row stays the largest
    several = FakeExport(logits, "sigmoid")
    report = comparison(expected, several, np.zeros((2, 2, 2, 3)), limits=Limits(None, agreement=0.8))
    assert (report.agreement, report.agrees) == (6 / 8, False)
    one = comparison(np.ones((2, 1)), FakeExport([[1.0], [-1.0]], "sigmoid"), np.zeros((2, 2, 2, 3)))
    assert one.agreement == 0.5


@pytest.mark.parametrize("expected", [0.0, np.inf])
def test_an_infinite_logit_never_agrees(expected):
    images, export = np.zeros((1, 2, 2, 3)), FakeExport([[0.0, np.inf]])
    report = comparison(np.array([[0.0, expected]]), export, images, limits=Limits(None, 0.0))
    assert not report.agrees


def test_an_export_with_another_number_of_classes_is_named():
    with pytest.raises(ValueError, match=r"student\.tflite must be .* shape \(1, 3\)\. Received: .* shape \(1, 2\)"):
        comparison(np.zeros((1, 3)), FakeExport([[0.0, 1.0]]), np.zeros((1, 2, 2, 3)))


@needs_onnx
@pytest.mark.backend_independent
@pytest.mark.parametrize(("num_classes", "multi_label"), [(3, True), (1, False)])
def test_an_export_with_sigmoids_is_loaded_and_compared(num_classes, multi_label, tmp_path):
    model = student(num_layers=1, num_classes=num_classes, multi_label=multi_label)
    export = ExportedModel(to_onnx(model, tmp_path / "student.onnx"))
    assert (export.activation, export.multi_label, export.num_classes) == ("sigmoid", multi_label, num_classes)
    batch = images(4)
    report = compare(model, export.path, batch)
    assert report.agrees
    assert report.agreement == 1
    expected = export.predict_on_batch(batch).copy()
    expected[2, 0] *= -1
    assert comparison(expected, export, batch).agreement == 1 - 1 / (4 * num_classes)


def test_a_missing_export_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no export at"):
        compare(student(), tmp_path / "student.tflite", images(1))
