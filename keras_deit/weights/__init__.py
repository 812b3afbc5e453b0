"""Weights of other frameworks, in and out."""

from keras_deit.weights.checkpoint import open_checkpoint
from keras_deit.weights.load import LoadReport, load
from keras_deit.weights.write import to_huggingface, to_official, to_timm

__all__ = ["LoadReport", "load", "open_checkpoint", "to_huggingface", "to_official", "to_timm"]
