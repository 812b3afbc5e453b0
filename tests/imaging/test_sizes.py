"""Image sizes and the geometry of the centre crop."""

import numpy as np
import pytest

import keras_deit as kd
from keras_deit.imaging.sizes import centre_crop_offset, height_and_width


@pytest.mark.parametrize("size", [16, np.int64(16), (16, 16), [16, 16], np.array([16, 16])])
def test_an_image_size_is_a_side_or_a_pair(size):
    assert height_and_width(size) == (16, 16)
    backbone = kd.DeiTBackbone(image_size=size, patch_size=8, hidden_dim=8, num_layers=1, num_heads=2)
    assert backbone.get_config()["image_size"] == (16, 16)


@pytest.mark.parametrize("size", [0, -4, (8,) * 3, 16.0, "16", None, ()])
def test_any_other_image_size_is_refused(size):
    with pytest.raises(ValueError, match="a side in pixels or"):
        height_and_width(size)
    with pytest.raises(ValueError, match="a side in pixels or"):
        kd.DeiTBackbone(image_size=size, patch_size=8)


@pytest.mark.parametrize(("resized", "size", "offset"), [(256, 224, 16), (226, 223, 2), (225, 224, 0), (224, 224, 0)])
def test_the_crop_is_centred_with_halves_rounded_to_even(resized, size, offset):
    assert centre_crop_offset(resized, size) == offset
