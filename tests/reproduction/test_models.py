"""The models of the study: shapes and tokens."""

import keras
import pytest

from keras_deit.models import DeiT
from keras_deit.reproduction.models import build_model
from keras_deit.reproduction.spec import CONVNET, Setting

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize(("size", "tokens"), [(8, 18), (28, 18)])
def test_a_deit_has_16_patches_and_the_tokens_of_its_setting(size, tokens):
    setting = Setting(hidden_dim=32, num_layers=1)
    model = build_model(setting, (size, size), 10)
    assert isinstance(model, DeiT)
    assert model.backbone(keras.ops.zeros((1, size, size, 3)))["tokens"].shape == (1, tokens, 32)
    assert set(model.output) == {"class", "distillation"}
    plain = build_model(Setting(hidden_dim=32, num_layers=1, distilled=False), (size, size), 10)
    assert set(plain.output) == {"class"}


@pytest.mark.parametrize("size", [8, 28])
def test_a_convnet_returns_logits(size):
    model = build_model(Setting(architecture=CONVNET), (size, size), 7)
    assert model.output_shape == (None, 7)
    assert keras.activations.serialize(model.layers[-1].activation) == "linear"
