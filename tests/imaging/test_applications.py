"""How the models of keras.applications take their images."""

import keras
import numpy as np
import pytest

from keras_deit.imaging.applications import find_preprocessing

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype("float32")


@pytest.mark.parametrize("name", ["resnet50", "ResNet50", "mobilenet_v2", "DenseNet121", "EfficientNetB0"])
def test_the_function_is_that_of_keras(name):
    modules = {"ResNet50": "resnet50", "DenseNet121": "densenet", "EfficientNetB0": "efficientnet"}
    module = getattr(keras.applications, modules.get(name, name))
    expected = module.preprocess_input(PIXELS.copy(), data_format="channels_last")
    received = keras.ops.convert_to_numpy(find_preprocessing(name)(keras.ops.convert_to_tensor(PIXELS)))
    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-4)


def test_other_names_have_none():
    assert find_preprocessing("resnet5") is None
