"""The models: a backbone, its two heads, and the two heads fused."""

from keras_deit.models.backbone import DeiTBackbone
from keras_deit.models.classifier import DeiTClassifier
from keras_deit.models.deit import DeiT
from keras_deit.models.variants import get_variant, list_variants

__all__ = ["DeiT", "DeiTBackbone", "DeiTClassifier", "get_variant", "list_variants"]
