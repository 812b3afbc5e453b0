"""Data-efficient image transformers (DeiT) in Keras 3, on TensorFlow, JAX and PyTorch."""

from keras_deit.runtime.backend import select_backend

select_backend()  # before the first import of Keras

from keras_deit import data, explain, export, fusion, losses, optimizers, recipes, weights  # noqa: E402
from keras_deit.distiller import Distiller  # noqa: E402
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD  # noqa: E402
from keras_deit.imaging.processor import ImageProcessor  # noqa: E402
from keras_deit.models import (  # noqa: E402
    DeiT,
    DeiTBackbone,
    DeiTClassifier,
    DeiTMaskedImageModel,
    RegNetY,
    list_presets,
    list_variants,
    pretrained,
)
from keras_deit.runtime.version import __version__  # noqa: E402
from keras_deit.teacher import Teacher  # noqa: E402
from keras_deit.training.train import train  # noqa: E402

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "DeiT",
    "DeiTBackbone",
    "DeiTClassifier",
    "DeiTMaskedImageModel",
    "Distiller",
    "ImageProcessor",
    "RegNetY",
    "Teacher",
    "__version__",
    "data",
    "explain",
    "export",
    "fusion",
    "list_presets",
    "list_variants",
    "losses",
    "optimizers",
    "pretrained",
    "recipes",
    "train",
    "weights",
]
