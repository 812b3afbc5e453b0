"""Weights of other frameworks: loading their checkpoints into models, and writing models as their checkpoints."""

from keras_deit.weights.load import LoadReport, load
from keras_deit.weights.write import to_huggingface, to_official, to_timm

__all__ = ["LoadReport", "load", "to_huggingface", "to_official", "to_timm"]
