"""All public names of the package, and with them the registration of its classes with Keras."""

from keras_deit import data, explain, export, fusion, lora, losses, optimizers, recipes, weights
from keras_deit.distiller import Distiller
from keras_deit.evaluation.evaluate import evaluate
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.imaging.processor import ImageProcessor
from keras_deit.models import (
    DeiT,
    DeiTBackbone,
    DeiTClassifier,
    DeiTMaskedImageModel,
    RegNetY,
    list_presets,
    list_variants,
    pretrained,
)
from keras_deit.runtime.version import __version__
from keras_deit.teacher import Teacher
from keras_deit.training.train import train

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "DeiT",
    "DeiTBackbone",
    "DeiTClassifier",
    "DeiTMaskedImageModel",
    "Distiller",
    "ImageProcessor",
    "Preprocessing",
    "RegNetY",
    "Teacher",
    "__version__",
    "data",
    "evaluate",
    "explain",
    "export",
    "fusion",
    "list_presets",
    "list_variants",
    "lora",
    "losses",
    "optimizers",
    "pretrained",
    "recipes",
    "train",
    "weights",
]
