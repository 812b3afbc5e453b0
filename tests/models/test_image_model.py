"""The base class of the models."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit import DeiT, DeiTBackbone, DeiTClassifier
from keras_deit.models.image_model import ImageModel, classification_head, head_dtype

SMALL = dict(image_size=32, patch_size=8, num_layers=1, hidden_dim=48, num_heads=3)


@pytest.mark.parametrize("cls", [DeiTBackbone, DeiT, DeiTClassifier])
def test_every_model_is_an_image_model_and_functional(cls):
    model = cls.from_variant("deit_ti", **SMALL)
    assert isinstance(model, ImageModel)
    assert isinstance(model, keras.Model)
    assert model.input_shape == (None, 32, 32, 3)


@pytest.mark.parametrize("cls", [DeiTBackbone, DeiT])
def test_overrides_replace_the_variants_arguments(cls):
    model = cls.from_variant("deit3_s", **SMALL, distilled=True, layer_scale_init=0.1, name="some_name")
    backbone = model if cls is DeiTBackbone else model.backbone
    assert (backbone.hidden_dim, backbone.distilled, backbone.layer_scale_init) == (48, True, 0.1)
    assert (backbone.prefix_positions, backbone.drop_path_schedule) == (False, "constant")  # from the variant
    assert model.name == "some_name"


@pytest.mark.parametrize("cls", [DeiTBackbone, DeiT, DeiTClassifier])
def test_a_frozen_model_stays_frozen_in_its_config(cls):
    model = cls.from_variant("deit_ti", **SMALL)
    assert model.get_config()["trainable"] is True
    model.trainable = False
    again = cls.from_config(model.get_config())
    assert again.trainable is False
    assert again.trainable_weights == []


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16"])
def test_heads_are_never_less_than_float32(policy):
    assert head_dtype(policy) == "float32"
    head = classification_head(3, policy, "head")
    assert keras.backend.standardize_dtype(head(np.ones((1, 4), "float32")).dtype) == "float32"


def test_heads_of_a_float64_model_are_float64():
    assert head_dtype("float64") == "float64"


def test_head_starts_normal_with_zero_biases():
    head = classification_head(1000, "float32", "head")
    head.build((None, 192))
    kernel = ops.convert_to_numpy(head.kernel)
    assert head.name == "head"
    assert kernel.std() == pytest.approx(0.02, rel=0.01)
    assert np.abs(kernel).max() > 3 * 0.02
    assert not np.any(ops.convert_to_numpy(head.bias))


@pytest.mark.parametrize("num_classes", [0, -1])
def test_num_classes_must_be_positive(num_classes):
    with pytest.raises(ValueError, match=f"`num_classes` must be positive. Received: num_classes={num_classes}"):
        DeiT.from_variant("deit_ti", num_classes=num_classes, **SMALL)
