"""The ONNX graph of a DeiT: its operators, the rank of its tensors and the names of its weights."""

import collections

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.export import to_onnx
from tests.export.students import needs_onnx, student

pytestmark = needs_onnx

# Of a DeiT with two tokens and two blocks.
OPERATORS = {
    "Add": 17,  # eleven biases, two residual sums in each block, tokens and positions, the mean of the heads
    "Gather": 2,
    "Gelu": 2,
    "LayerNormalization": 6,
    "MatMul": 15,
    "Mul": 3,
    "Pad": 1,
    "Reshape": 6,
    "Softmax": 2,
    "Split": 2,
    "Transpose": 7,
}


@pytest.fixture(scope="module")
def proto(tmp_path_factory):
    import onnx

    model = student(layer_scale_init=None)
    return model, onnx.load(to_onnx(model, tmp_path_factory.mktemp("onnx") / "student.onnx"))


def test_the_operators(proto):
    assert collections.Counter(node.op_type for node in proto[1].graph.node) == OPERATORS
    assert {node.domain for node in proto[1].graph.node} == {""}  # standard operators only
    assert [(opset.domain, opset.version) for opset in proto[1].opset_import] == [("", 20)]


@pytest.mark.parametrize(
    ("overrides", "fusion"), [({}, "mean_probabilities"), (dict(layer_scale_init=0.1), "concat")], ids=["deit", "deit3"]
)
def test_no_tensor_has_more_than_four_dimensions(overrides, fusion, tmp_path):
    import onnx

    model = kd.DeiTClassifier(student(num_layers=1, **overrides), fusion=fusion)
    inferred = onnx.shape_inference.infer_shapes(onnx.load(to_onnx(model, tmp_path / "model.onnx")), strict_mode=True)
    graph = inferred.graph
    outputs = {output for node in graph.node for output in node.output}
    shapes = {value.name: value.type.tensor_type.shape.dim for value in (*graph.value_info, *graph.output)}
    assert set(shapes) == outputs  # the shape of every tensor is known
    assert max(map(len, shapes.values())) == 4
    assert max(len(weight.dims) for weight in graph.initializer) <= 4


def test_weights_have_the_names_and_values_of_the_variables(proto):
    import onnx

    model, written = proto
    stored = {weight.name: onnx.numpy_helper.to_array(weight) for weight in written.graph.initializer}
    compared = 0
    for variable in model.weights:
        name, value = variable.path, keras.ops.convert_to_numpy(variable)
        if name.startswith("prefix_tokens/"):
            continue  # one constant holds them
        np.testing.assert_array_equal(stored[name].ravel(), value.ravel(), err_msg=name)
        compared += 1
    assert compared == len(model.weights) - 3


def test_names_are_unique(proto):
    names = [node.name for node in proto[1].graph.node]
    assert len(set(names)) == len(names)
