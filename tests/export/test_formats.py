"""Several formats are checked, written and compared at once."""

import sys

import pytest

from keras_deit.export.formats import check_formats, export
from tests.export.students import images, needs_litert, student


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
    with pytest.raises(ValueError, match=r"no export format 'coreml'\. Known formats: saved_model, litert"):
        export(student(), ["saved_model", "coreml"], tmp_path, images(1))
    with pytest.raises(ValueError, match=r"'onnx'\. 'onnx' is not implemented yet"):
        check_formats(["onnx"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["tensorflow", "ai_edge_litert"])
def test_a_missing_package_is_named_with_its_extra(package, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"keras-deit\[export\]"):
        check_formats(["saved_model", "litert"])
