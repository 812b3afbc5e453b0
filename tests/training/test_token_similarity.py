"""The similarity of the two tokens during training."""

import pathlib

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.training.token_similarity import NUM_IMAGES, TokenSimilarity
from keras_deit.training.usable_images import UnreadableError
from tests.image_folders import write_images

IMAGES = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype("float32")


class FakeData:
    """The `RunData` of a test split of eight images."""

    test = "the test split"

    def prepared(self, data, count):
        assert (data, count) == (self.test, NUM_IMAGES)
        return IMAGES, None


def mean_cosine(backbone):
    """The mean cosine of the two tokens after the last block."""
    tokens = backbone.get_layer("prefix_tokens")(backbone.get_layer("patch_embedding")(IMAGES))
    for block in backbone.blocks:
        tokens = block(tokens)
    first, second = np.moveaxis(keras.ops.convert_to_numpy(tokens)[:, :2], 1, 0)
    return np.mean(np.sum(first * second, -1) / np.linalg.norm(first, axis=-1) / np.linalg.norm(second, axis=-1))


def test_each_epoch_logs_the_cosine_of_the_trained_weights():
    student = kd.DeiT(num_classes=4, image_size=16, patch_size=8, hidden_dim=16, num_layers=2, num_heads=2)
    model = kd.DeiTClassifier(student)
    model.compile(keras.optimizers.SGD(0.5), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    found, logged = [], []

    class After(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            assert self.model is model  # on JAX, this brings the variables up to date
            logged.append(logs["token_similarity"])
            found.append(mean_cosine(student.backbone))

    callbacks = [TokenSimilarity(student, FakeData()), After()]
    model.fit(IMAGES, np.arange(8) % 4, epochs=2, batch_size=4, verbose=0, callbacks=callbacks)
    np.testing.assert_allclose(logged, found, atol=1e-5)
    assert abs(logged[0] - logged[1]) > 1e-4


@pytest.mark.backend_independent
def test_a_test_image_that_cannot_be_read_is_named(tmp_path):
    pytest.importorskip("PIL.Image", reason="Pillow reads the images")
    write_images(tmp_path, 10)
    data = kd.data.load(tmp_path)
    pathlib.Path(data.paths[2]).write_bytes(b"damaged")

    class DamagedData:
        test = data

        def prepared(self, data, count):
            raise RuntimeError("of the pipeline")

    student = kd.DeiT(num_classes=4, image_size=16, patch_size=8, hidden_dim=16, num_layers=1, num_heads=2)
    with pytest.raises(UnreadableError, match=f"cannot be read: {data.paths[2]}"):
        TokenSimilarity(student, DamagedData())
