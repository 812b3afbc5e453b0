import dataclasses
import sys

import numpy as np
import pytest

from keras_deit.export.report import Report, check_formats, compare, export
from tests.export.students import images, needs_litert, student


@needs_litert
def test_export_writes_every_format_and_reports_on_each(exported):
    _, directory, reports = exported
    assert reports["saved_model"].path == str(directory / "saved_model")
    assert reports["litert"].path == str(directory / "student.tflite")
    assert sorted(path.name for path in directory.iterdir()) == ["saved_model", "student.tflite"]
    for report in reports.values():
        assert report.largest_difference < 1e-4
        assert report.images == 5
    assert reports["litert"].size == (directory / "student.tflite").stat().st_size


@needs_litert
def test_another_model_differs(exported):
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


def test_a_report_reads_as_a_line():
    report = Report(
        "litert", "runs/1/student.tflite", size=23_800_000, images=16, largest_difference=4.9e-6, agrees=True
    )
    assert str(report) == ("runs/1/student.tflite (litert, 23.8 MB): logits of 16 images differ by at most 4.9e-06")
    assert "do not use" in str(dataclasses.replace(report, agrees=False))


def test_nothing_at_the_path(tmp_path):
    with pytest.raises(FileNotFoundError, match="no export at"):
        compare(student(), tmp_path / "student.tflite", images(1))


def test_unknown_formats_are_named_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"no export format 'coreml'\. Known formats: saved_model, litert"):
        export(student(), ["saved_model", "coreml"], tmp_path, images(1))
    with pytest.raises(ValueError, match=r"'onnx'\. 'onnx' is not there yet"):
        check_formats(["onnx"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["tensorflow", "ai_edge_litert"])
def test_a_missing_package_is_named_with_its_extra(package, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"keras-deit\[export\]"):
        check_formats(["saved_model", "litert"])
