"""Small students whose every weight influences the logits, and marks for what their exports need."""

import importlib.util

import keras
import numpy as np
import pytest

import keras_deit as kd
from tests.goldens.weights import fill, noise

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
HAS_LITERT = HAS_TENSORFLOW and importlib.util.find_spec("ai_edge_litert") is not None
HAS_QUANTIZER = HAS_LITERT and importlib.util.find_spec("ai_edge_quantizer") is not None
HAS_ONNX = all(importlib.util.find_spec(package) is not None for package in ("onnx", "onnxruntime"))
HAS_OPENVINO = all(importlib.util.find_spec(package) is not None for package in ("onnx", "openvino"))
RUNNABLE_FORMATS = [
    *(["saved_model"] if HAS_TENSORFLOW else []),
    *(["litert"] if HAS_LITERT else []),
    *(["onnx"] if HAS_ONNX else []),
    *(["openvino"] if HAS_OPENVINO else []),
]
IN_PROCESS_FORMATS = [name for name in RUNNABLE_FORMATS if ON_TENSORFLOW or name != "saved_model"]

# The quantization is that of a file, the same on every backend, but the other backends convert the file in a child process.
QUANTIZED_FORMATS = ["litert:float16", "litert:dynamic_int8", "litert:int8"] if HAS_QUANTIZER and ON_TENSORFLOW else []
LARGEST_DIFFERENCES = {  # of logits
    **dict.fromkeys(RUNNABLE_FORMATS, 1e-4),
    "litert:float16": 5e-3,
    "litert:dynamic_int8": 0.1,
    "litert:int8": 0.1,
}

needs_tensorflow = pytest.mark.skipif(not HAS_TENSORFLOW, reason="exporting needs the extra `export`")
needs_litert = pytest.mark.skipif(not HAS_LITERT, reason="running LiteRT needs the extra `export`")
needs_quantizer = pytest.mark.skipif(not HAS_QUANTIZER, reason="quantizing needs the extra `export`")
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="exporting to ONNX and running it need the extra `onnx`")
needs_openvino = pytest.mark.skipif(not HAS_OPENVINO, reason="exporting to OpenVINO needs the extra `openvino`")
tensorflow_only = pytest.mark.skipif(
    not ON_TENSORFLOW, reason="the other backends run the same code in a child process"
)
other_backends_only = pytest.mark.skipif(ON_TENSORFLOW, reason="the TensorFlow backend starts no child process")


def student(**overrides):
    """A DeiT with two blocks, ten classes and 16 patches."""
    arguments = {"num_classes": 10, "image_size": 32, "patch_size": 8, "num_layers": 2, **overrides}
    return fill(kd.DeiT.from_variant("deit_ti", **arguments))


CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "九")
PREPROCESSING = kd.Preprocessing(mean=(0.5, 0.4, 0.3), std=0.25, crop_ratio=0.9, squash=True)


def digits(count, size=32, split="test"):
    """The first handwritten digits of a split, normalised as `PREPROCESSING` says, and their labels."""
    pytest.importorskip("sklearn", reason="scikit-learn contains the digits")
    data = kd.data.load("digits", split).select(np.arange(count))
    return keras.ops.convert_to_numpy(PREPROCESSING.processor(size)(data.images)), np.asarray(data.labels)


def images(count, size=32):
    """Normalised images."""
    return noise("images", (count, size, size, 3))


def photographs(height, width):
    """Two photographs that scikit-learn contains, cropped and normalised."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn contains the photographs")
    pixels = np.stack(datasets.load_sample_images().images)
    return keras.ops.convert_to_numpy(kd.ImageProcessor((height, width))(pixels))


def model_with_unsupported_operation():
    """A model with an operation that LiteRT does not have built in."""
    inputs = keras.Input((4, 4, 3))
    return keras.Model(inputs, keras.ops.sum(keras.ops.erfinv(inputs / 9), axis=(1, 2)))
