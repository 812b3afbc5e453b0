"""Resizing by PyTorch, against Pillow, on real photographs."""

import numpy as np
import pytest

from keras_deit.data.augment import pillow_transform, torch_resizing
from keras_deit.data.augment.crops import crop_attempts
from tests.data.augment.given_draws import draws
from tests.data.images import photographs

pillow = pytest.importorskip("PIL.Image", reason="the reference is Pillow")
pytest.importorskip("torch", reason="PyTorch resizes the images")
pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize("size", [(48, 64), (33, 21), (224, 192), (96, 128)])
def test_pixels_are_those_of_pillow(size):
    for pixels in photographs():
        image = pillow.fromarray(pixels)
        expected = np.asarray(image.resize(size[::-1], pillow.Resampling.BICUBIC)).astype(int)
        received = torch_resizing.resize(image, size)
        assert (received.mode, received.size) == ("RGB", size[::-1])
        difference = np.abs(received - expected)
        assert difference.max() <= 2
        assert (difference > 0).mean() < 0.01


def test_random_crops_have_the_same_pixels_on_every_backend(monkeypatch):
    from keras_deit.data import Augmentation

    transform = pillow_transform.ImageTransform((48, 64), (0, 0, 0), (1 / 255,) * 3, crop_ratio=1.0)
    attempts = crop_attempts(np.random.default_rng(0).random((4, 22)), (0.3, 1.0))
    augmentation, samples = Augmentation(crop_scale=(0.3, 1.0)), {}
    for backend in ("torch", "jax"):
        monkeypatch.setattr("keras.backend.backend", lambda backend=backend: backend)
        samples[backend] = [transform.training_sample(photographs()[0], draws(crop), augmentation) for crop in attempts]
    difference = np.abs(np.subtract(samples["torch"], samples["jax"]))
    assert difference.max() <= 2
    assert difference.mean() < 0.1
