"""How people give the size of an image."""

import numpy as np
import pytest

import keras_deit as kd
from keras_deit.imaging.sizes import height_and_width


@pytest.mark.parametrize("size", [16, np.int64(16), (16, 16), [16, 16], np.array([16, 16])])
def test_a_side_or_a_pair(size):
    assert height_and_width(size) == (16, 16)
    backbone = kd.DeiTBackbone(image_size=size, patch_size=8, hidden_dim=8, num_layers=1, num_heads=2)
    assert backbone.get_config()["image_size"] == (16, 16)


@pytest.mark.parametrize("size", [0, -4, (8,) * 3, 16.0, "16", None, ()])
def test_anything_else_is_refused(size):
    with pytest.raises(ValueError, match="a side in pixels or"):
        height_and_width(size)
    with pytest.raises(ValueError, match="a side in pixels or"):
        kd.DeiTBackbone(image_size=size, patch_size=8)
