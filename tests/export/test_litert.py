"""Export to LiteRT, compared with the model in LiteRT's interpreter."""

import json
import sys

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.export import compare, litert, to_litert
from keras_deit.export.exported_model import ExportedModel
from keras_deit.export.litert import check_model
from keras_deit.export.metadata import export_metadata, read_metadata
from tests.export.litert_files import operations, run, tensors
from tests.export.students import (
    images,
    model_with_unsupported_operation,
    needs_litert,
    needs_quantizer,
    needs_tensorflow,
    other_backends_only,
    student,
    tensorflow_only,
)

PIXELS = np.linspace(0, 255, 3072).astype("uint8").reshape(1, 32, 32, 3)
# Matrix products, softmax, GELU and the parts of a layer norm.
OPERATIONS = {
    "ADD",
    "BATCH_MATMUL",
    "CONCATENATION",
    "FULLY_CONNECTED",
    "GELU",
    "MEAN",
    "MUL",
    "RESHAPE",
    "RSQRT",
    "SOFTMAX",
    "SPLIT",
    "STRIDED_SLICE",
    "TRANSPOSE",
}


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
def test_only_built_in_operations_are_used(exported):
    used = [name for name, *_ in operations(exported[1] / "student.tflite")]
    assert set(used) == OPERATIONS
    assert len(used) < 2 * 35 + 30  # two encoder blocks of at most 35 operations


@needs_litert
def test_the_cpu_delegate_runs_the_whole_model(interpreter):
    interpreter.allocate_tensors()
    delegates = [operation for operation in interpreter._get_ops_details() if operation["op_name"] == "DELEGATE"]
    (outputs,) = interpreter.get_output_details()
    assert [operation["outputs"].tolist() for operation in delegates] == [[outputs["index"]]]


@needs_litert
def test_no_tensor_has_more_than_four_dimensions(exported):
    assert max(len(shape) for _, shape in tensors(exported[1] / "student.tflite")) == 4


@needs_litert
def test_the_metadata_and_the_file_beside_it(exported):
    model, directory, _ = exported
    expected = export_metadata(kd.DeiTClassifier(model))
    assert read_metadata(directory / "student.tflite") == expected
    assert json.loads((directory / "student.json").read_text(encoding="utf-8")) == expected


@needs_quantizer
def test_pixels_are_normalised_in_the_file(tmp_path):
    model = student(
        num_layers=1, class_names=["犬", *"bcdefghij"], preprocessing={"mean": (0.3, 0.4, 0.5), "std": 0.25}
    )
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), "uint8")
    arguments = dict(quantization="dynamic_int8", inputs="pixels")
    path = to_litert(model, tmp_path / "student.tflite", **arguments)
    metadata = read_metadata(path)
    assert (metadata["inputs"], metadata["quantization"], metadata["class_names"][0]) == (
        "pixels",
        "dynamic_int8",
        "犬",
    )
    assert ExportedModel(path).quantization == "dynamic_int8"
    normalised = (pixels / 255 - np.array([0.3, 0.4, 0.5])) / 0.25
    exact = keras.ops.convert_to_numpy(kd.DeiTClassifier(model)(normalised.astype("float32")))
    assert np.abs(run(path, pixels) - exact).max() < 0.1 * exact.std()
    with pytest.raises(ValueError, match="Got value of type FLOAT32 but expected type UINT8"):
        run(path, normalised.astype("float32"))
    for shape in [(64, 64, 3), (16, 64, 3), (64, 16, 3), (3, 32, 32), (32, 32)]:
        with pytest.raises(RuntimeError):
            run(path, np.zeros((1, *shape), "uint8"))


@tensorflow_only
@needs_litert
def test_a_model_in_mixed_precision_with_mean_probabilities(tmp_path):
    model = kd.DeiTClassifier(student(num_layers=1, dtype="mixed_bfloat16"), fusion="mean_probabilities")
    assert compare(model, to_litert(model, tmp_path / "student.tflite"), images(2)).largest_difference < 1e-4


@tensorflow_only
@needs_litert
def test_a_model_that_is_no_deit(tmp_path):
    deit = student(num_layers=1)
    model = keras.Model(deit.inputs, deit.outputs[0])
    path = to_litert(model, tmp_path / "student.tflite")
    assert compare(model, path, images(2)).largest_difference < 1e-4
    assert max(len(shape) for _, shape in tensors(path)) == 4


@tensorflow_only
@needs_litert
def test_what_a_subclass_computes_is_in_the_file(tmp_path):
    class Louder(kd.DeiT):
        def call(self, *args, **kwargs):
            return {name: 3 * logits for name, logits in super().call(*args, **kwargs).items()}

    plain, batch = student(num_layers=1), images(2)
    model = Louder(num_classes=10, **plain.backbone_config())
    model.set_weights(plain.get_weights())
    expected = 3 * keras.ops.convert_to_numpy(kd.DeiTClassifier(plain)(batch))
    np.testing.assert_allclose(run(to_litert(model, tmp_path / "student.tflite"), batch), expected, rtol=0, atol=1e-4)


@tensorflow_only
@needs_litert
def test_a_model_that_pools_refuses_images_of_another_shape(tmp_path):
    layers = [keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(data_format="channels_last")]
    path = to_litert(keras.Sequential(layers), tmp_path / "model.tflite")
    assert run(path, images(1, 8)).shape == (1, 3)
    for shape in [(9, 8, 3), (8, 9, 3), (7, 8, 3), (8, 7, 3), (8, 8, 1), (8, 8)]:
        with pytest.raises(RuntimeError):
            run(path, np.zeros((1, *shape), "float32"))


@tensorflow_only
@needs_litert
def test_token_merging(tmp_path):
    model = kd.DeiTClassifier(student(), token_merging=3)
    assert compare(model, to_litert(model, tmp_path / "student.tflite"), images(3)).largest_difference < 1e-4


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


def test_an_existing_json_file_is_refused_and_kept(tmp_path):
    (tmp_path / "student.json").write_text("old")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        to_litert(student(num_layers=1), tmp_path / "student.tflite")
    assert [path.name for path in tmp_path.iterdir()] == ["student.json"]


@pytest.mark.backend_independent
@pytest.mark.parametrize("name", ["v1.0", "student", "student.json"])
def test_another_extension_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match=rf"must end in \.tflite\. Received: .*{name}"):
        to_litert(student(num_layers=1), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(batch_size=0), "positive integer as batch size"),
        (dict(batch_size=2.0), "positive integer as batch size"),
        (dict(batch_size="4"), "positive integer as batch size"),
        (dict(batch_size=None), "positive integer as batch size"),
        (dict(quantization="int4"), r"`quantization` must be one of .* Received: quantization='int4'"),
        (dict(inputs="bytes"), r"`inputs` must be one of .* Received: inputs='bytes'"),
        (dict(quantization="dynamic_int8", int8_io=True), "`int8_io=True` needs quantization='int8'"),
        (dict(quantization="int8", inputs="pixels", int8_io=True), "pixels are integers already"),
        (dict(quantization="int8"), "`calibration` must be an array of images for quantization='int8'"),
        (dict(calibration=np.zeros((1, 32, 32, 3))), "`calibration` must be .* and None otherwise"),
        (dict(quantization="int8", calibration=np.zeros((0, 32, 32, 3))), "at least one calibration image"),
        (dict(quantization="int8", calibration=np.zeros((1, 3, 32, 32))), r"of shape \(32, 32, 3\)"),
        (dict(quantization="int8", inputs="pixels", calibration=np.zeros((1, 32, 32, 3))), "pixels: uint8"),
        (dict(quantization="int8", calibration=PIXELS), "The calibration images must be normalised.*uint8"),
        (
            dict(quantization="int8", calibration=PIXELS.astype("float32")),
            "must be normalised.* float32 values in 0..255",
        ),
    ],
)
def test_invalid_arguments_are_refused(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        to_litert(student(num_layers=1), tmp_path / "student.tflite", **arguments)
    assert not list(tmp_path.iterdir())


@needs_quantizer
def test_calibration_images_in_0_to_1_are_questioned(tmp_path):
    with pytest.warns(UserWarning, match=r"The calibration images seem to be pixels in 0\.\.1"):
        to_litert(student(num_layers=1), tmp_path / "int8.tflite", quantization="int8", calibration=PIXELS / 255)


def test_a_model_for_images_of_any_size_is_refused():
    with pytest.raises(ValueError, match=r"images of a known size.*Received: RegNetY"):
        check_model(kd.RegNetY.from_variant("regnety_002", num_classes=2))


def test_pixels_of_a_model_without_a_normalisation_are_refused(tmp_path):
    layers = [keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(data_format="channels_last")]
    with pytest.raises(ValueError, match="inputs='pixels' needs a model of this package.*Received: Sequential"):
        to_litert(keras.Sequential(layers), tmp_path / "student.tflite", inputs="pixels")


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
