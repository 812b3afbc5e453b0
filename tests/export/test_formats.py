"""Several formats are checked, written and compared at once."""

import sys

import pytest

import keras_deit as kd
from keras_deit.export import subprocess_tensorflow
from keras_deit.export.formats import check_formats, check_model, export
from tests.export.students import images, needs_litert, needs_onnx, student


@needs_litert
def test_every_format_is_written_and_compared(exported):
    _, directory, reports = exported
    assert reports["saved_model"].path == str(directory / "saved_model")
    assert reports["litert"].path == str(directory / "student.tflite")
    assert sorted(path.name for path in directory.iterdir()) == ["saved_model", "student.tflite"]
    for report in reports.values():
        assert report.largest_difference < 1e-4
        assert report.images == 5
    assert reports["litert"].size == (directory / "student.tflite").stat().st_size


def test_unknown_formats_are_named_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"no export format 'coreml'\. Known formats: saved_model, litert, onnx"):
        export(student(), ["saved_model", "coreml"], tmp_path, images(1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("package", "formats", "extra"),
    [
        ("tensorflow", ["saved_model", "litert"], "export"),
        ("ai_edge_litert", ["saved_model", "litert"], "export"),
        ("onnx", ["onnx"], "onnx"),
        ("onnxruntime", ["onnx"], "onnx"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(package, formats, extra, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"keras-deit\[{extra}\]"):
        check_formats(formats)


@needs_onnx
def test_onnx_is_written_and_compared_without_tensorflow(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess_tensorflow, "check_tensorflow", lambda: pytest.fail("TensorFlow is not needed"))
    (report,) = export(student(num_layers=1), ["onnx"], tmp_path, images(3))
    assert (report.format, report.path, report.images) == ("onnx", str(tmp_path / "student.onnx"), 3)
    assert report.agrees


def test_a_model_that_onnx_cannot_hold_is_refused_before_the_export():
    regnet = kd.RegNetY.from_variant("regnety_002", num_classes=2)
    check_model(regnet, ["saved_model"])
    with pytest.raises(ValueError, match=r"`to_onnx` writes .* Received: RegNetY"):
        check_model(regnet, ["saved_model", "onnx"])
