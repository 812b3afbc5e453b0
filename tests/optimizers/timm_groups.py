"""Weight decay and learning rates of a DeiT's variables, as timm groups them."""

import json
import pathlib

import keras_deit as kd
from tests import goldens

GROUPS = json.loads((pathlib.Path(goldens.__file__).parent / "timm_recipes.json").read_text())["groups"]
LAYOUTS = {"two_tokens": {}, "deit3": dict(distilled=False, prefix_positions=False, layer_scale_init=0.1)}


def small(name):
    """A DeiT of three blocks in one of the layouts."""
    return kd.DeiT(
        num_classes=5, image_size=32, patch_size=8, hidden_dim=16, num_layers=3, num_heads=2, **LAYOUTS[name]
    )
