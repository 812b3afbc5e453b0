"""The models: backbone, DeiT with its heads, fused classifier, masked image model, and the convolutional teachers."""

from keras_deit.models.application import ApplicationClassifier
from keras_deit.models.backbone import DeiTBackbone
from keras_deit.models.classifier import DeiTClassifier
from keras_deit.models.deit import DeiT
from keras_deit.models.masked_image_model import DeiTMaskedImageModel
from keras_deit.models.presets import find_preset, is_weights, list_presets
from keras_deit.models.pretrained import pretrained
from keras_deit.models.regnet import RegNetY
from keras_deit.models.variants import get_variant, list_variants

__all__ = [
    "ApplicationClassifier",
    "DeiT",
    "DeiTBackbone",
    "DeiTClassifier",
    "DeiTMaskedImageModel",
    "RegNetY",
    "find_preset",
    "get_variant",
    "is_weights",
    "list_presets",
    "list_variants",
    "pretrained",
]
