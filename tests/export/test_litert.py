"""Export to LiteRT, compared with the model in LiteRT's interpreter."""

import sys

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.export import compare, litert, to_litert
from tests.export.students import (
    images,
    model_with_unsupported_operation,
    needs_litert,
    needs_tensorflow,
    other_backends_only,
    student,
    tensorflow_only,
)

# Matrix products, softmax, GELU and the parts of a layer norm. DELEGATE is added by the interpreter.
OPERATIONS = {
    "ADD",
    "BATCH_MATMUL",
    "CONCATENATION",
    "DELEGATE",
    "FULLY_CONNECTED",
    "GELU",
    "MEAN",
    "MUL",
    "NEG",
    "RESHAPE",
    "RSQRT",
    "SOFTMAX",
    "SPLIT",
    "SQUARED_DIFFERENCE",
    "STRIDED_SLICE",
    "SUB",
    "TRANSPOSE",
}
DEIT3 = dict(distilled=False, prefix_positions=False, layer_scale_init=0.1)


@pytest.fixture
def interpreter(exported):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(str(exported[1] / "student.tflite"))


@needs_litert
def test_the_logits_are_those_of_the_model(exported):
    assert exported[2]["litert"].largest_difference < 1e-4


@tensorflow_only
@needs_litert
def test_other_batch_sizes(tmp_path):
    model = student(num_layers=1)
    path = to_litert(model, tmp_path / "student.tflite", batch_size=3)
    assert compare(model, path, images(5)).largest_difference < 1e-4


@needs_litert
def test_the_signature_has_names_and_a_fixed_shape(interpreter):
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["images"], "outputs": ["logits"]}}
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (inputs["shape"].tolist(), inputs["dtype"]) == ([1, 32, 32, 3], np.float32)
    assert inputs["shape_signature"].tolist() == [1, 32, 32, 3]
    assert (outputs["shape"].tolist(), outputs["dtype"]) == ([1, 10], np.float32)


@needs_litert
@pytest.mark.parametrize(
    "shape",
    [
        (1, 64, 64, 3),
        (1, 3, 32, 32),
        (32, 32, 3),
        (3072,),
        (1, 16, 64, 3),
        (1, 64, 16, 3),
        (3, 32, 32, 1),
        (2, 32, 32, 3),
    ],
)
def test_images_of_another_shape_are_refused_by_every_way_to_call(interpreter, shape):
    pixels = np.zeros(shape, "float32")
    interpreter.allocate_tensors()
    (details,) = interpreter.get_input_details()
    with pytest.raises(ValueError, match="Cannot set tensor: Dimension mismatch"):
        interpreter.set_tensor(details["index"], pixels)
    with pytest.raises(RuntimeError):
        interpreter.resize_tensor_input(details["index"], shape, strict=True)
    with pytest.raises(RuntimeError):
        interpreter.get_signature_runner()(images=pixels)


@needs_litert
def test_only_built_in_operations_are_used(interpreter):
    used = {operation["op_name"] for operation in interpreter._get_ops_details()}
    assert used <= OPERATIONS
    assert {"GELU", "SOFTMAX"} <= used  # fused operations, not their parts


@tensorflow_only
@pytest.mark.parametrize(
    "overrides",
    [dict(distilled=False), DEIT3, dict(dtype="mixed_bfloat16")],
    ids=["one_token", "deit3", "mixed_precision"],
)
@needs_litert
def test_every_kind_of_student(overrides, tmp_path):
    model = student(num_layers=1, **overrides)
    assert compare(model, to_litert(model, tmp_path / "student.tflite"), images(2)).largest_difference < 1e-4


@tensorflow_only
@needs_litert
@pytest.mark.parametrize("fusion", ["mean_probabilities", "concat"])
def test_every_fusion(fusion, tmp_path):
    model = kd.DeiTClassifier(student(num_layers=1), fusion=fusion)
    assert compare(model, to_litert(model, tmp_path / "student.tflite"), images(2)).largest_difference < 1e-4


@tensorflow_only
@needs_litert
def test_a_full_size_model(full_size_student, tmp_path):
    path = to_litert(full_size_student, tmp_path / "student.tflite")
    assert compare(full_size_student, path, images(2, 224)).largest_difference < 1e-4


@needs_tensorflow
def test_an_unsupported_operation_is_named_and_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError, match="operations that LiteRT does not have built in: Erfinv"):
        to_litert(model_with_unsupported_operation(), tmp_path / "student.tflite")
    assert not list(tmp_path.iterdir())


@tensorflow_only
def test_an_interrupted_export_leaves_no_file(tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(litert, "_convert", interrupt)
    with pytest.raises(KeyboardInterrupt):
        to_litert(student(num_layers=1), tmp_path / "student.tflite")
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_refused_and_kept(tmp_path):
    path = tmp_path / "student.tflite"
    path.write_text("old")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        to_litert(student(num_layers=1), path)
    assert path.read_text() == "old"


@pytest.mark.parametrize(("size", "batch_size"), [(None, 1), (32, 0), (32, 2.0), (32, "4"), (32, None)])
def test_an_unknown_image_size_and_an_invalid_batch_size_are_refused(size, batch_size, tmp_path):
    layers = [keras.Input((size, size, 3)), keras.layers.GlobalAveragePooling2D(data_format="channels_last")]
    with pytest.raises(ValueError, match="positive integer as batch size and images of a known size"):
        to_litert(keras.Sequential(layers), tmp_path / "student.tflite", batch_size=batch_size)


@pytest.mark.usefixtures("quick_quantization")
def test_a_quantized_model_is_refused_before_the_conversion(tmp_path):
    model = student(num_layers=1)
    model.quantize("int8")
    with pytest.raises(ValueError, match="LiteRT cannot convert a model that Keras has quantized"):
        to_litert(model, tmp_path / "student.tflite")


@other_backends_only
def test_without_tensorflow_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ImportError, match=r"keras-deit\[export\]"):
        to_litert(student(num_layers=1), tmp_path / "student.tflite")
    assert not list(tmp_path.iterdir())
