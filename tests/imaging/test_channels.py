"""Models that take another number of channels than the images have."""

import keras
import numpy as np
import pytest

from keras_deit.imaging.channels import advise_wrapping, count_channels

pytestmark = pytest.mark.backend_independent


def test_channels_are_counted():
    assert [count_channels(number) for number in (1, 2, 3)] == ["1 channel", "2 channels", "3 channels"]


@pytest.mark.parametrize(
    ("taken", "given", "conversion"),
    [
        (1, 3, "keras.ops.image.rgb_to_grayscale(images)"),
        (3, 1, "keras.ops.repeat(images, 3, axis=-1)"),
        (4, 3, "convert(images)"),
    ],
)
def test_the_advice_converts_in_the_right_direction(taken, given, conversion):
    assert advise_wrapping((28, 30, taken), given).endswith(
        f"`images = keras.Input((28, 30, {given})); wrapped = keras.Model(images, model({conversion}))`."
    )


def test_a_wrapped_grey_model_is_saved_and_loaded(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    images = keras.Input((4, 4, 3))
    wrapped = keras.Model(images, model(keras.ops.image.rgb_to_grayscale(images)))
    wrapped.save(tmp_path / "wrapped.keras")
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 1)).astype("float32")
    received = keras.saving.load_model(tmp_path / "wrapped.keras").predict(np.repeat(pixels, 3, axis=-1), verbose=0)
    np.testing.assert_allclose(received, model.predict(pixels, verbose=0), rtol=2e-3, atol=0.1)
