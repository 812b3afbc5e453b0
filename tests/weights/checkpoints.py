"""The small checkpoints under tests/goldens/checkpoints, and models that match them."""

import functools

import keras
import numpy as np

import keras_deit as kd
from keras_deit.weights.files import read_with_notes
from tests.goldens.make_checkpoints import CLASSES, DEPTHS, FOLDER, GROUP, PATCH, SIZE, WIDTHS

SHAPE = dict(num_classes=CLASSES, image_size=SIZE, patch_size=PATCH, hidden_dim=16, num_layers=2, num_heads=2)
ONE_TOKEN = dict(distilled=False)
DEIT3 = dict(distilled=False, prefix_positions=False, layer_scale_init=0.5)
LAYOUTS = {
    "timm_two_tokens": {},
    "timm_one_token": ONE_TOKEN,
    "timm_deit3": DEIT3,
    "official_deit3": DEIT3,
    "transformers_two_tokens": {},
    "transformers_one_token": ONE_TOKEN,
}
REGNETS = ("timm_regnety", "transformers_regnety")


def path(name):
    """The path of a checkpoint."""
    return FOLDER / f"{name}.safetensors"


def read(path):
    """The tensors of a checkpoint file by name, NumPy arrays."""
    return read_with_notes(path)[0]


@functools.cache
def goldens():
    """Images, logits and resized positions, by name."""
    with np.load(FOLDER / "logits.npz") as stored:
        return dict(stored)


def model_for(name, **overrides):
    """A model with fresh weights that matches a checkpoint."""
    if name in REGNETS:
        return kd.RegNetY(**{**dict(widths=WIDTHS, depths=DEPTHS, group_width=GROUP, num_classes=CLASSES), **overrides})
    return kd.DeiT(**{**SHAPE, **LAYOUTS[name], **overrides})


def logits_of(model):
    """A model's logits for the golden images, by head."""
    outputs = keras.tree.map_structure(keras.ops.convert_to_numpy, model(goldens()["images"]))
    return outputs if isinstance(outputs, dict) else {"class": outputs}


def expected_logits(name):
    """The logits of the other framework's model for the golden images, by head."""
    return {key.split("/")[1]: value for key, value in goldens().items() if key.startswith(f"{name}/")}


def assert_same_tensors(received, expected):
    """Checks that two checkpoints have the same names and values."""
    assert set(received) == set(expected)
    for name, value in expected.items():
        assert received[name].dtype == value.dtype
        np.testing.assert_array_equal(received[name], value, err_msg=name)
