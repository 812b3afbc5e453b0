"""A small DeiT with random weights, whose attention differs between heads, blocks and images."""

import keras
import numpy as np

import keras_deit as kd
from tests import numpy_reference
from tests.battery import weights_of

SIZE = {"image_size": (24, 16), "patch_size": 4, "hidden_dim": 16, "num_layers": 2, "num_heads": 2}
GRID = (6, 4)


def random_deit(seed=0, **arguments):
    """A `DeiT` whose weights are all drawn from a normal distribution."""
    deit = kd.DeiT(**{**SIZE, "num_classes": 5, **arguments})
    rng = np.random.default_rng(seed)
    deit.set_weights([rng.normal(scale=0.4, size=weight.shape) for weight in deit.get_weights()])
    return deit


def random_images(number, seed=1):
    """Normalised images for the model."""
    return np.random.default_rng(seed).normal(size=(number, *SIZE["image_size"], 3)).astype("float32")


def attention_of(deit, images):
    """The attention maps `(images, blocks, heads, tokens, tokens)` by the formulas, in NumPy and float64."""
    config = deit.backbone.get_config()
    sizes = config["num_layers"], config["num_heads"]
    return np.stack(numpy_reference.backbone(images.astype("float64"), weights_of(deit.backbone), *sizes)[1], axis=1)


def maps_of(deit, images):
    """The attention maps `(images, blocks, heads, tokens, tokens)` that the model computes, as float64."""
    maps = [keras.ops.convert_to_numpy(attention) for attention in deit.backbone.attention_maps(images)]
    return np.stack(maps, axis=1).astype("float64")
