"""The layers of a data-efficient vision transformer, one per file."""

from keras_deit.layers.attention import MultiHeadSelfAttention
from keras_deit.layers.drop_path import DropPath
from keras_deit.layers.encoder_block import EncoderBlock
from keras_deit.layers.layer_scale import LayerScale
from keras_deit.layers.mask_patches import MaskPatches
from keras_deit.layers.mlp import MLP
from keras_deit.layers.patch_embedding import PatchEmbedding
from keras_deit.layers.prefix_tokens import PrefixTokens
from keras_deit.layers.token_norm import TokenNorm

__all__ = [
    "MLP",
    "DropPath",
    "EncoderBlock",
    "LayerScale",
    "MaskPatches",
    "MultiHeadSelfAttention",
    "PatchEmbedding",
    "PrefixTokens",
    "TokenNorm",
]
