"""The runtimes of exported models: each class runs one format, without Keras."""

import collections
import json
import time

import numpy as np

from keras_deit.export.metadata import KEY, from_properties, read_metadata
from keras_deit.export.openvino import openvino_package
from keras_deit.export.signatures import INPUT, INPUTS, OUTPUT, PIXELS, SERVING_DEFAULT
from keras_deit.runtime.cores import usable_cores
from keras_deit.runtime.optional import require

WARM_UP = 3  # calls before the first timed one
FLOAT, QUANTIZED, DYNAMIC = "float", "quantized", "quantized with dynamic ranges"
INTEGERS = ("int4", "int8", "uint8", "int16")  # types that hold quantized values
SKIPPED_OPERATIONS = {  # of the graphs of TensorFlow and OpenVINO, which compute nothing
    "Const",
    "Constant",
    "Identity",
    "IdentityN",
    "NoOp",
    "Parameter",
    "PartitionedCall",
    "Placeholder",
    "ReadVariableOp",
    "Result",
    "StatefulPartitionedCall",
}


class Runtime:
    """An exported model in its runtime.

    Attributes:
        input_shape: Tuple `(batch, height, width, 3)`; None for a size that the model leaves open.
        num_classes: Number of logits.
        metadata: What `keras_deit.export.metadata.read_metadata` returns.
        takes_pixels: Whether the model takes pixels in 0..255, and not normalised images.
    """

    input_shape = num_classes = metadata = None
    takes_pixels = False

    def run(self, images):
        """Runs the model once.

        Args:
            images: Float32 array `(batch, height, width, 3)` of normalised images; of pixels in 0..255 if the model takes
                pixels.

        Returns:
            Float32 array `(batch, classes)` of logits.
        """
        raise NotImplementedError

    def operators(self):
        """Counts the operators of the model.

        Returns:
            List of dictionaries with `operator`, `arithmetic` (`"float"`, `"quantized"`, or for int8 weights and inputs that
            are quantized at each call `"quantized with dynamic ranges"`) and `count`, the most frequent operator first.
        """
        raise NotImplementedError

    def weight_bytes(self):
        """Measures the stored constants.

        Returns:
            Dictionary from the names of types, such as `"float32"`, to bytes.
        """
        raise NotImplementedError

    def seconds(self, images, runs):
        """Times calls of the model.

        Args:
            images: As for `run`.
            runs: Number of calls.

        Returns:
            List of the seconds of each call.
        """
        return call_seconds(lambda: self.run(images), runs)


def call_seconds(call, runs):
    """Times a function, after a few calls that are not counted.

    Args:
        call: Function without arguments.
        runs: Number of timed calls.

    Returns:
        List of the seconds of each call.

    Example:

    >>> len(call_seconds(lambda: None, 5))
    5
    """
    seconds = []
    for _ in range(WARM_UP + runs):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds[WARM_UP:]


class LiteRTRuntime(Runtime):
    """A `.tflite` file in LiteRT's interpreter, on all usable cores.

    Args:
        path: Path of the file.

    Raises:
        ImportError: If the interpreter is not installed; the message names the extra.
        ValueError: If the file is damaged, or is no classifier of images.
    """

    def __init__(self, path):
        module = require("ai_edge_litert.interpreter", extra="export", purpose="Running a LiteRT file")
        self._interpreter = module.Interpreter(model_path=str(path), num_threads=usable_cores())
        self._interpreter.allocate_tensors()
        self._path = path
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        _check_classifier([tensor["shape"] for tensor in inputs], [tensor["shape"] for tensor in outputs])
        (self._input,), (self._output,) = inputs, outputs
        self.metadata = read_metadata(path)
        self.takes_pixels = (self.metadata or {}).get("inputs") == "pixels"
        self.input_shape = tuple(self._input["shape"].tolist())
        self.num_classes = int(self._output["shape"][-1])

    def run(self, images):
        """See `Runtime.run`. The batch is that of the file."""
        self._interpreter.set_tensor(self._input["index"], _quantized(images, self._input))
        self._interpreter.invoke()
        return _dequantized(self._interpreter.get_tensor(self._output["index"]), self._output)

    def operators(self):
        """See `Runtime.operators`."""
        return _counted(_litert_operators(*_litert_model(self._path)))

    def weight_bytes(self):
        """See `Runtime.weight_bytes`."""
        schema, model = _litert_model(self._path)
        num_bytes = collections.Counter()
        for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
            for tensor in map(graph.Tensors, range(graph.TensorsLength())):
                num_bytes[_type_name(schema, tensor)] += model.Buffers(tensor.Buffer()).DataLength()
        return {name: size for name, size in num_bytes.items() if size}


class OnnxRuntime(Runtime):
    """An ONNX file in ONNX Runtime, on the CPU.

    Args:
        path: Path of the file.

    Raises:
        ImportError: If ONNX Runtime is not installed; the message names the extra.
        ValueError: If the file is no classifier of images.
    """

    def __init__(self, path):
        module = require("onnxruntime", extra="onnx", purpose="Running an ONNX file")
        options = module.SessionOptions()
        options.intra_op_num_threads = usable_cores()
        self._session = module.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._path = path
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        _check_classifier([tensor.shape for tensor in inputs], [tensor.shape for tensor in outputs])
        (self._input,), (output,) = inputs, outputs
        self.metadata = from_properties(self._session.get_modelmeta().custom_metadata_map)
        self.input_shape = tuple(size if isinstance(size, int) else None for size in self._input.shape)
        self.num_classes = output.shape[-1]

    def run(self, images):
        """See `Runtime.run`."""
        return self._session.run(None, {self._input.name: images})[0]

    def operators(self):
        """See `Runtime.operators`."""
        return _counted((node.op_type, FLOAT) for node in self._graph().node)

    def weight_bytes(self):
        """See `Runtime.weight_bytes`."""
        onnx = require("onnx", extra="onnx", purpose="Reading an ONNX file")
        num_bytes = collections.Counter()
        for tensor in self._graph().initializer:
            array = onnx.numpy_helper.to_array(tensor)
            num_bytes[array.dtype.name] += array.nbytes
        return dict(num_bytes)

    def _graph(self):
        return require("onnx", extra="onnx", purpose="Reading an ONNX file").load(str(self._path)).graph


class OpenVinoRuntime(Runtime):
    """A `.xml` file of OpenVINO, with its `.bin` file, on the CPU in float32.

    Args:
        path: Path of the `.xml` file.

    Raises:
        ImportError: If OpenVINO is not installed; the message names the extra.
        ValueError: If the file is no classifier of images.
    """

    def __init__(self, path):
        core = openvino_package("Running an OpenVINO file").Core()
        self._model = core.read_model(path)
        inputs, outputs = self._model.inputs, self._model.outputs
        _check_classifier(*(list(map(_openvino_shape, tensors)) for tensors in (inputs, outputs)))
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": usable_cores()}
        self._compiled = core.compile_model(self._model, "CPU", options)
        is_described = self._model.has_rt_info([KEY])
        self.metadata = json.loads(self._model.get_rt_info([KEY]).value) if is_described else None
        self.input_shape, self.num_classes = _openvino_shape(inputs[0]), _openvino_shape(outputs[0])[-1]

    def run(self, images):
        """See `Runtime.run`."""
        return self._compiled(images)[0]

    def operators(self):
        """See `Runtime.operators`."""
        names = (operator.get_type_name() for operator in self._model.get_ops())
        return _counted((name, FLOAT) for name in names if name not in SKIPPED_OPERATIONS)

    def weight_bytes(self):
        """See `Runtime.weight_bytes`."""
        num_bytes = collections.Counter()
        for operator in self._model.get_ops():
            if operator.get_type_name() == "Constant":
                num_bytes[operator.data.dtype.name] += operator.get_byte_size()
        return dict(num_bytes)


class SavedModelRuntime(Runtime):
    """A SavedModel in TensorFlow. On JAX and PyTorch, `keras_deit.export.subprocess_tensorflow` runs the class.

    Args:
        path: Directory of the SavedModel.

    Raises:
        ValueError: If no signature takes normalised images.
    """

    def __init__(self, path):
        import tensorflow as tf

        self._loaded = tf.saved_model.load(str(path))  # the signature needs this object to stay alive
        self._signature = _signature_of_images(self._loaded.signatures)
        self.metadata = read_metadata(path)
        self.input_shape = tuple(self._signature.structured_input_signature[1][INPUT].shape)
        self.num_classes = int(self._signature.structured_outputs[OUTPUT].shape[-1])

    def run(self, images):
        """See `Runtime.run`."""
        import tensorflow as tf

        return self._signature(**{INPUT: tf.constant(images)})[OUTPUT].numpy()

    def run_pixels(self, pixels):
        """Runs `serving_default` of a SavedModel of pixels, with the preparation in it.

        Args:
            pixels: uint8 array `(batch, height, width, 3)`.

        Returns:
            Float32 array `(batch, classes)` of logits.
        """
        import tensorflow as tf

        signature = self._loaded.signatures[SERVING_DEFAULT]
        return signature(**{INPUTS[PIXELS]: tf.constant(pixels)})[OUTPUT].numpy()

    def operators(self):
        """See `Runtime.operators`. A function that is called several times counts once."""
        graph = self._signature.graph.as_graph_def()
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        return _counted((node.op, FLOAT) for node in nodes if node.op not in SKIPPED_OPERATIONS)

    def weight_bytes(self):
        """See `Runtime.weight_bytes`."""
        num_bytes = collections.Counter()
        for variable in self._signature.variables:
            num_bytes[variable.dtype.name] += variable.shape.num_elements() * variable.dtype.size
        return dict(num_bytes)

    def describe(self):
        """Returns the attributes of `Runtime` as a dictionary."""
        return {name: getattr(self, name) for name in ("input_shape", "num_classes", "metadata", "takes_pixels")}


def _check_classifier(inputs, outputs):
    is_classifier = len(inputs) == len(outputs) == 1 and len(inputs[0]) == 4 and len(outputs[0]) == 2
    if not is_classifier or inputs[0][-1] != 3:
        shapes = [[list(shape) for shape in shapes] for shapes in (inputs, outputs)]
        raise ValueError(
            "Expected a classifier with one input (batch, height, width, 3) and one output (batch, classes). "
            f"Received: inputs of shapes {shapes[0]} and outputs of shapes {shapes[1]}"
        )


def _signature_of_images(signatures):
    for signature in signatures.values():
        images = signature.structured_input_signature[1].get(INPUT)
        takes_images = images is not None and images.dtype.is_floating and images.shape.rank == 4
        if takes_images and OUTPUT in signature.structured_outputs:
            return signature
    raise ValueError(
        f"Expected a signature from normalised images {INPUT!r} to {OUTPUT!r}. Received: the signatures "
        f"{sorted(signatures)}"
    )


def _openvino_shape(tensor):
    return tuple(None if size.is_dynamic else size.get_length() for size in tensor.get_partial_shape())


def _quantized(values, tensor):
    scale, zero_point = tensor["quantization"]
    if not scale:
        return values.astype(tensor["dtype"], copy=False)
    limits = np.iinfo(tensor["dtype"])
    return np.clip(np.round(values / scale) + zero_point, limits.min, limits.max).astype(tensor["dtype"])


def _dequantized(values, tensor):
    scale, zero_point = tensor["quantization"]
    return ((values.astype("float32") - zero_point) * scale).astype("float32") if scale else values.astype("float32")


def _counted(operators):
    counts = collections.Counter(operators)
    names = ("operator", "arithmetic", "count")
    return [dict(zip(names, (*operator, count), strict=True)) for operator, count in counts.most_common()]


def _litert_model(path):
    schema = require("ai_edge_litert.schema_py_generated", extra="export", purpose="Reading a LiteRT file")
    return schema, schema.Model.GetRootAs(path.read_bytes(), 0)


def _litert_operators(schema, model):
    """Yields the name and the arithmetic of every operator."""
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
        for operator in map(graph.Operators, range(graph.OperatorsLength())):
            code = model.OperatorCodes(operator.OpcodeIndex())
            name = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            yield name, _litert_arithmetic(schema, model, graph, operator)


def _litert_arithmetic(schema, model, graph, operator):
    """The arithmetic follows from the quantization of the result, and of the constants. Pixels in uint8 have none."""
    outputs = [graph.Tensors(operator.Outputs(0))]
    inputs = [graph.Tensors(index) for index in operator.InputsAsNumpy() if index >= 0]
    constants = [tensor for tensor in inputs if model.Buffers(tensor.Buffer()).DataLength()]
    if any(_is_quantized(schema, tensor) for tensor in outputs):
        return QUANTIZED
    return DYNAMIC if any(_is_quantized(schema, tensor) for tensor in constants) else FLOAT


def _is_quantized(schema, tensor):
    parameters = tensor.Quantization()
    return _type_name(schema, tensor) in INTEGERS and parameters is not None and parameters.ScaleLength() > 0


def _type_name(schema, tensor):
    names = {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
    return names[tensor.Type()]
