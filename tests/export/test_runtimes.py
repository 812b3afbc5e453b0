"""What the runtimes tell of an export: operators, stored weights and the time of calls."""

import pytest

from keras_deit.export import to_litert
from keras_deit.export.exported_model import ExportedModel
from keras_deit.export.runtimes import DYNAMIC, FLOAT, QUANTIZED
from tests.export.students import QUANTIZED_FORMATS, RUNNABLE_FORMATS, images, needs_litert, student, tensorflow_only

MATRIX_PRODUCTS = {"saved_model": "MatMul", "litert": "FULLY_CONNECTED", "onnx": "MatMul", "openvino": "MatMul"}


ARITHMETIC = {"litert:dynamic_int8": {FLOAT, DYNAMIC}, "litert:int8": {FLOAT, QUANTIZED}}  # else float
STORED = {
    "litert:float16": 0.5,
    "litert:dynamic_int8": 0.25,
    "litert:int8": 0.25,
}  # bytes, as parts of those of float32


@pytest.fixture(scope="module", params=[*RUNNABLE_FORMATS, *QUANTIZED_FORMATS])
def opened(request, exported):
    """The name of a format, and the runtime of the export."""
    return request.param, ExportedModel(exported[2][request.param].path).runtime


def test_operators_are_counted_with_their_arithmetic(opened):
    name, runtime = opened
    operators = runtime.operators()
    counts = [operator["count"] for operator in operators]
    assert counts == sorted(counts, reverse=True)
    assert {operator["arithmetic"] for operator in operators} == ARITHMETIC.get(name, {FLOAT})
    products = [row["count"] for row in operators if row["operator"] == MATRIX_PRODUCTS[name.split(":")[0]]]
    assert sum(products) >= 2 * 4 + 2  # of two blocks, and of two heads


def test_the_bytes_of_the_weights_are_those_of_the_model(opened, exported):
    name, runtime = opened
    expected = 4 * exported[0].count_params() * STORED.get(name, 1)
    assert 0.99 * expected < sum(runtime.weight_bytes().values()) < 1.1 * expected


def test_every_call_is_timed(opened):
    _, runtime = opened
    seconds = runtime.seconds(images(1), 4)
    assert len(seconds) == 4
    assert all(0 < value < 10 for value in seconds)


@tensorflow_only
@needs_litert
def test_operators_on_pixels_are_not_quantized(tmp_path):
    path = to_litert(student(num_layers=1), tmp_path / "pixels.tflite", inputs="pixels")
    assert {operator["arithmetic"] for operator in ExportedModel(path).runtime.operators()} == {FLOAT}


@pytest.mark.backend_independent
def test_a_file_that_is_no_classifier_of_images_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx", reason="the test writes an ONNX file")
    pytest.importorskip("onnxruntime", reason="the test reads an ONNX file")
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 8]) for name in "ab"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["a"], ["b"])], "graph", ends[:1], ends[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(
        ValueError, match=r"one input \(batch, height, width, 3\).*Received: inputs of shapes \[\['batch', 8\]\]"
    ):
        ExportedModel(tmp_path / "other.onnx")
