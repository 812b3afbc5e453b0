"""What a LiteRT file contains, read with the schema of the format."""

import numpy as np


def run(path, images):
    """The logits of images, one at a time."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path)).get_signature_runner("serving_default")
    return np.concatenate([runner(images=image[None])["logits"] for image in images])


def operations(path):
    """The operations of a file in their order: the name, the inputs and the outputs of each; tensors are `(type, shape)`."""
    model, schema = _read(path)
    graph, names = model.subgraphs[0], _names(schema.BuiltinOperator)
    tensors = [_tensor(tensor, schema) for tensor in graph.tensors]
    found = []
    for operation in graph.operators:
        code = model.operatorCodes[operation.opcodeIndex]
        inputs, outputs = ([tensors[i] for i in ends if i >= 0] for ends in (operation.inputs, operation.outputs))
        found.append((names[max(code.builtinCode, code.deprecatedBuiltinCode)], inputs, outputs))
    return found


def tensors(path):
    """Type and shape of every tensor of a file."""
    model, schema = _read(path)
    return [_tensor(tensor, schema) for graph in model.subgraphs for tensor in graph.tensors]


def _read(path):
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes())), schema


def _tensor(tensor, schema):
    return _names(schema.TensorType)[tensor.type], tuple(
        np.ravel(tensor.shape).tolist() if tensor.shape is not None else ()
    )


def _names(enumeration):
    return {number: name for name, number in vars(enumeration).items() if not name.startswith("_")}
