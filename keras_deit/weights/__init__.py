"""Weights of other frameworks, in and out."""

from keras_deit.weights.checkpoint import HEADS, Checkpoint, open_checkpoint
from keras_deit.weights.files import is_checkpoint
from keras_deit.weights.load import LoadReport, load
from keras_deit.weights.names import MASKED_IMAGE_PARTS
from keras_deit.weights.write import to_huggingface, to_official, to_timm

__all__ = [
    "HEADS",
    "MASKED_IMAGE_PARTS",
    "Checkpoint",
    "LoadReport",
    "is_checkpoint",
    "load",
    "open_checkpoint",
    "to_huggingface",
    "to_official",
    "to_timm",
]
