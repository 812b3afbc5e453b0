"""Each pipeline gives batches of the requested size, where its package is installed."""

import dataclasses

import numpy as np
import pytest

from keras_deit.benchmark import images
from keras_deit.benchmark.data import images_per_second
from keras_deit.benchmark.pipelines import PIPELINES
from keras_deit.benchmark.setting import PipelineSetting
from tests.benchmark.conftest import skip_without_package

pytest.importorskip("PIL.Image", reason="Pillow writes the images")
pytest.importorskip("sklearn.datasets", reason="the photographs are scikit-learn's")

SETTING = PipelineSetting(image_size=32, batch_size=8, num_batches=2, num_workers=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "NUM_FILES", 2)
        images.write_images(folder)
    return folder


@pytest.mark.parametrize("name", ["tf.data", "grain", "timm", "keras-cv"])
def test_batches_are_augmented_images_and_mixed_labels(name, folder):
    setting = dataclasses.replace(SETTING, num_workers=0) if name == "grain" else SETTING  # starts no processes
    with skip_without_package():
        pixels, labels = (np.asarray(array) for array in next(iter(PIPELINES[name](setting, folder))))
    assert pixels.shape in ((8, 32, 32, 3), (8, 3, 32, 32))
    assert np.isfinite(pixels).all()
    np.testing.assert_allclose(labels.sum(-1), 1, rtol=1e-4)


@pytest.mark.backend_independent
def test_decoding_only_gives_a_pixel_per_image(folder):
    pytest.importorskip("tensorflow")
    assert next(iter(PIPELINES["decoding only"](SETTING, folder))).shape == (8, 3)


@pytest.mark.backend_independent
def test_the_speed_is_in_images_per_second(folder):
    pytest.importorskip("tensorflow")
    assert images_per_second("tf.data", SETTING, folder) > 0
