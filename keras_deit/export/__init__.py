"""Writes trained models as files for other runtimes, and checks that the files give the same logits."""

from keras_deit.export.litert import to_litert
from keras_deit.export.onnx import to_onnx
from keras_deit.export.openvino import to_openvino
from keras_deit.export.report import compare
from keras_deit.export.saved_model import to_saved_model

__all__ = ["compare", "to_litert", "to_onnx", "to_openvino", "to_saved_model"]
