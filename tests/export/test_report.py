"""An export is compared with its model, and the result is a report."""

import dataclasses

import numpy as np
import pytest

from keras_deit.export.report import Report, compare
from tests.export.students import images, needs_litert, student


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


def test_a_report_prints_as_one_line():
    report = Report(
        "litert", "runs/1/student.tflite", size=23_800_000, images=16, largest_difference=4.9e-6, agrees=True
    )
    assert str(report) == ("runs/1/student.tflite (litert, 23.8 MB): logits of 16 images differ by at most 4.9e-06")
    assert "do not use" in str(dataclasses.replace(report, agrees=False))


def test_a_missing_export_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no export at"):
        compare(student(), tmp_path / "student.tflite", images(1))
