"""Latency of exported models, beside timm's model on PyTorch and ONNX Runtime's quantized model."""

import functools
import pathlib
import tempfile

from keras_deit.benchmark.models import build_steps
from keras_deit.benchmark.peers import timm_step
from keras_deit.benchmark.setting import NUM_CLASSES
from keras_deit.benchmark.steps import repeated
from keras_deit.benchmark.timing import seconds_in_turns
from keras_deit.export import to_litert, to_onnx
from keras_deit.export.litert_quantization import QUANTIZATIONS
from keras_deit.export.signatures import INPUT, OUTPUT
from keras_deit.models import DeiT, DeiTClassifier
from keras_deit.runtime.optional import require


def run(setting, rounds, num_threads):
    """Times the exports of a model with fresh weights and their peers in turns, in one process, on the CPU.

    Args:
        setting: A `Setting` of inference in float32.
        rounds: Number of rounds.
        num_threads: Number of threads of each runtime.

    Returns:
        A dictionary from names to lists of seconds per batch, one value per round, and a dictionary from the names of those
        that could not run to the reason. An export of this package is left out only if a package is missing: its other
        failures are errors.
    """
    with tempfile.TemporaryDirectory() as directory:
        exports, peers = _builders(setting, num_threads, pathlib.Path(directory))
        steps, without_package = build_steps(exports, failures=ImportError)
        steps_of_peers, left_out = build_steps(peers)
        return seconds_in_turns(steps | steps_of_peers, rounds), without_package | left_out


def _builders(setting, num_threads, directory):
    """Functions without arguments that make the steps, by name: of this package's exports, and of their peers."""
    model = DeiTClassifier(DeiT(num_classes=NUM_CLASSES, **setting.architecture))
    images, _ = setting.random_batch()

    def litert(quantization):
        path, calibration = directory / f"{quantization}.tflite", images if quantization == "int8" else None
        to_litert(model, path, quantization, calibration, batch_size=setting.batch_size)
        return _litert_step(path, images, num_threads)

    def onnx(quantized):
        path = to_onnx(model, directory / "student.onnx", overwrite=True)
        return _onnx_step(_quantized_by_onnx_runtime(path) if quantized else path, images, num_threads)

    exports = {f"LiteRT {name or 'float32'}": functools.partial(litert, name) for name in QUANTIZATIONS}
    exports["ONNX Runtime float32"] = functools.partial(onnx, False)
    peers = {"ONNX Runtime int8": functools.partial(onnx, True)}
    for name, compiled in (("timm", False), ("timm compiled", True)):
        peers[name] = functools.partial(_timm_step, setting, num_threads, compiled)
    return exports, peers


def _litert_step(path, images, num_threads):
    module = require("ai_edge_litert.interpreter", extra="export", purpose="Running a LiteRT file")
    interpreter = module.Interpreter(str(path), num_threads=num_threads)
    interpreter.allocate_tensors()
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()

    def step():
        interpreter.set_tensor(inputs["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(outputs["index"])

    return repeated(step)


def _onnx_step(path, images, num_threads):
    onnxruntime = require("onnxruntime", extra="onnx", purpose="Running an ONNX file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # would slow the next one in turn
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return repeated(lambda: session.run([OUTPUT], {INPUT: images})[0])


def _quantized_by_onnx_runtime(path):
    """Writes the file that ONNX Runtime's own dynamic quantization makes of a file."""
    quantization = require("onnxruntime.quantization", extra="onnx", purpose="Quantizing an ONNX file")
    quantized = path.with_name("quantized.onnx")
    quantization.quantize_dynamic(path, quantized, weight_type=quantization.QuantType.QInt8, per_channel=True)
    return quantized


def _timm_step(setting, num_threads, compiled):
    require("torch", extra="torch", purpose="timm").set_num_threads(num_threads)
    return timm_step(setting, compiled)
