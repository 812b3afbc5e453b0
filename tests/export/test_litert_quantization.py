"""LiteRT files are quantized: which operations use integers, and what that costs."""

import numpy as np
import pytest

from keras_deit.export.litert_quantization import quantize
from tests.export.litert_files import operations, run, tensors
from tests.export.students import HAS_QUANTIZER, images, needs_quantizer

pytestmark = [needs_quantizer, pytest.mark.backend_independent]
QUANTIZED = ("float16", "dynamic_int8", "int8")
MATRIX_PRODUCTS_WITH_WEIGHTS = 1 + 2 * 6 + 2  # patch embedding, two blocks of six, two heads


@pytest.fixture(scope="module")
def files(exported, tmp_path_factory):
    """The files of one student: float32 and quantized."""
    if not HAS_QUANTIZER:
        pytest.skip("the quantizer is not installed")
    directory, float32 = tmp_path_factory.mktemp("quantized"), exported[1] / "student.tflite"
    calibration = list(images(16)[:, None])
    for name, quantization in {**dict(zip(QUANTIZED, QUANTIZED, strict=True)), "int8_io": "int8"}.items():
        content = quantize(float32.read_bytes(), quantization, calibration, int8_io=name == "int8_io")
        (directory / f"{name}.tflite").write_bytes(content)
    return {None: float32, **{path.stem: path for path in directory.iterdir()}}


def products(path):
    """Type of the weights, inputs and outputs of the matrix products that have weights."""
    found = [(inputs, outputs) for name, inputs, outputs in operations(path) if name == "FULLY_CONNECTED"]
    return [(inputs[1][0], inputs[0][0], outputs[0][0]) for inputs, outputs in found]


@pytest.mark.parametrize(
    ("name", "types"),
    [
        (None, ("FLOAT32", "FLOAT32", "FLOAT32")),
        ("float16", ("FLOAT32", "FLOAT32", "FLOAT32")),  # after DEQUANTIZE
        ("dynamic_int8", ("INT8", "FLOAT32", "FLOAT32")),
        ("int8", ("INT8", "INT8", "INT8")),
        ("int8_io", ("INT8", "INT8", "INT8")),
    ],
)
def test_the_types_of_the_matrix_products(files, name, types):
    assert products(files[name]) == [types] * MATRIX_PRODUCTS_WITH_WEIGHTS


@pytest.mark.parametrize("name", QUANTIZED)
def test_everything_else_remains_in_float32(files, name):
    allowed = {"FULLY_CONNECTED", "QUANTIZE", "DEQUANTIZE"}
    for operation, inputs, outputs in operations(files[name]):
        types = {kind for kind, _ in inputs + outputs}
        assert operation in allowed or types <= {"FLOAT32", "INT32"}, operation


@pytest.mark.parametrize("name", QUANTIZED)
def test_no_tensor_has_more_than_four_dimensions(files, name):
    assert max(len(shape) for _, shape in tensors(files[name])) == 4


def test_the_logits_of_each_quantization(files):
    batch = images(16)
    exact = run(files[None], batch)
    difference = {name: np.abs(run(files[name], batch) - exact).max() for name in QUANTIZED}
    assert difference["float16"] < 5e-3
    assert difference["dynamic_int8"] < 0.1 * exact.std()
    assert difference["int8"] < 0.3 * exact.std()


def test_the_size_of_each_quantization(files):
    size = {name: path.stat().st_size for name, path in files.items()}
    assert size["float16"] < 0.55 * size[None]
    assert size["dynamic_int8"] < size["int8"] < 0.35 * size[None]


def test_int8_input_and_output_have_scales(files):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(files["int8_io"]))
    interpreter.allocate_tensors()
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (inputs["dtype"], outputs["dtype"]) == (np.int8, np.int8)
    batch = images(4)
    scale, zero_point = inputs["quantization"]
    integers = np.clip(np.round(batch / scale) + zero_point, -128, 127).astype("int8")
    scale, zero_point = outputs["quantization"]
    logits = scale * (run(files["int8_io"], integers).astype("float32") - zero_point)
    exact = run(files[None], batch)
    assert np.abs(logits - exact).max() < 0.3 * exact.std()


@pytest.mark.parametrize("name", [*QUANTIZED, "int8_io"])
def test_images_of_another_shape_or_type_are_refused(files, name):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(files[name]))
    interpreter.allocate_tensors()
    dtype = interpreter.get_input_details()[0]["dtype"]
    for shape in [(1, 64, 64, 3), (1, 16, 64, 3), (1, 64, 16, 3), (1, 3, 32, 32), (32, 32, 3), (2, 32, 32, 3)]:
        with pytest.raises(RuntimeError):
            interpreter.get_signature_runner()(images=np.zeros(shape, dtype))
    for other in {"float32", "uint8", "int8"} - {np.dtype(dtype).name}:
        with pytest.raises(ValueError, match="Got value of type"):
            interpreter.get_signature_runner()(images=np.zeros((1, 32, 32, 3), other))
