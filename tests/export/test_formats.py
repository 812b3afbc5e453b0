"""Several formats are checked, written and compared at once."""

import dataclasses
import sys

import numpy as np
import pytest

import keras_deit as kd
from keras_deit.export import subprocess_tensorflow
from keras_deit.export.formats import FORMATS, check_formats, check_inputs, check_model, export, write
from tests.export.students import (
    LARGEST_DIFFERENCES,
    PREPROCESSING,
    QUANTIZED_FORMATS,
    RUNNABLE_FORMATS,
    digits,
    images,
    needs_litert,
    needs_onnx,
    needs_openvino,
    student,
)


@pytest.mark.parametrize("name", [*RUNNABLE_FORMATS, *QUANTIZED_FORMATS])
def test_every_format_keeps_the_logits_of_real_images(name, exported):
    _, directory, reports = exported
    report = reports[name]
    assert report.path == str(directory / FORMATS[name].file_name)
    assert report.images == 64
    assert 0 < report.mean_difference < report.largest_difference <= LARGEST_DIFFERENCES[name]
    assert report.agreement == 1
    assert report.accuracy == report.model_accuracy
    assert report.limits == FORMATS[name].limits
    assert report.agrees


@needs_litert
def test_the_size_is_that_of_the_file(exported):
    _, directory, reports = exported
    assert reports["litert"].size == (directory / "student.tflite").stat().st_size


def test_unknown_formats_are_named_before_anything_is_written(tmp_path):
    with pytest.raises(
        ValueError, match=r"no export format 'coreml'\. Known formats: saved_model, litert, litert:float16"
    ):
        export(student(), ["saved_model", "coreml"], tmp_path, images(1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("package", "formats", "extra"),
    [
        ("tensorflow", ["saved_model", "litert"], "export"),
        ("ai_edge_litert", ["saved_model", "litert"], "export"),
        ("onnx", ["onnx"], "onnx"),
        ("onnxruntime", ["onnx"], "onnx"),
        ("openvino", ["openvino"], "openvino"),
        ("ai_edge_quantizer", ["litert:int8"], "export"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(package, formats, extra, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"keras-deit\[{extra}\]"):
        check_formats(formats)


@needs_openvino
def test_openvino_needs_the_package_that_writes_onnx_files(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"keras-deit\[onnx\]"):
        check_formats(["openvino"])


@needs_onnx
def test_onnx_is_written_and_compared_without_tensorflow(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess_tensorflow, "check_tensorflow", lambda: pytest.fail("TensorFlow is not needed"))
    (report,) = export(student(num_layers=1), ["onnx"], tmp_path, images(3))
    assert (report.format, report.path, report.images) == ("onnx", str(tmp_path / "student.onnx"), 3)
    assert report.agrees


def test_a_model_that_a_format_cannot_hold_is_refused_before_the_export():
    regnet = kd.RegNetY.from_variant("regnety_002", num_classes=2)
    check_model(regnet, ["saved_model"])
    with pytest.raises(ValueError, match="LiteRT needs images of a known size"):
        check_model(regnet, ["saved_model", "litert"])
    for name in ("onnx", "openvino"):
        with pytest.raises(ValueError, match=r"`to_onnx` writes .* Received: RegNetY"):
            check_model(regnet, ["saved_model", name])


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("inputs", "formats", "message"),
    [
        ("pixels", ["litert:int8", "onnx"], r"\(onnx: normalized\)\. Received: inputs='pixels'"),
        ("bytes", ["saved_model", "litert"], r"\(litert: normalized, pixels\)\. Received: inputs='bytes'"),
    ],
)
def test_inputs_that_a_format_cannot_take_are_refused(inputs, formats, message):
    with pytest.raises(ValueError, match=message):
        check_inputs(inputs, formats)
    check_inputs(inputs, formats[:1])
    check_inputs("normalized", formats)


@pytest.mark.backend_independent
def test_the_calibration_of_an_export_of_pixels_has_pixels(tmp_path, monkeypatch):
    given = {}
    model = student(num_layers=1, preprocessing=PREPROCESSING)
    fake = dataclasses.replace(FORMATS["litert:int8"], write=lambda model, path, **arguments: given.update(arguments))
    monkeypatch.setitem(FORMATS, "litert:int8", fake)
    batch, _ = digits(2)
    write(model, "litert:int8", tmp_path, calibration=batch)
    assert given.pop("calibration") is batch
    assert given == {"overwrite": False}
    write(model, "litert:int8", tmp_path, inputs="pixels", calibration=batch)
    np.testing.assert_array_equal(given["calibration"], PREPROCESSING.undo_normalisation(batch))
    assert given["inputs"] == "pixels"
