"""Images in any form, models of any kind, and the memory of the attention maps."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.explain import attention_rollout, forward
from keras_deit.runtime.endless import mark_endless
from tests.explain.models import random_deit, random_images

IMAGES = random_images(5)
BYTES_OF_AN_IMAGE = 4 * 2 * 2 * (24 + 2) ** 2  # of its attention maps


class Batches(keras.utils.PyDataset):
    """Batches with labels and weights."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        images = IMAGES[3 * index : 3 * index + 3]
        return images, np.zeros(len(images)), np.ones(len(images))


FORMS = {
    "array": lambda: IMAGES,
    "tensor": lambda: keras.ops.convert_to_tensor(IMAGES),
    "images and labels": lambda: (IMAGES, np.zeros(5)),
    "PyDataset": Batches,
    "generator": lambda: (IMAGES[index : index + 1] for index in range(5)),
    "list of batches": lambda: [IMAGES[:2], IMAGES[2:]],
    "with teacher outputs": lambda: [({"image": IMAGES, "teacher": np.zeros((5, 5))}, np.zeros(5))],
}


@pytest.mark.parametrize("form", FORMS)
def test_images_come_in_any_form(form):
    batches = list(forward.image_batches(FORMS[form](), size=2))
    assert max(map(len, batches)) == 2 if form != "generator" else 1
    np.testing.assert_array_equal(np.concatenate(batches), IMAGES)


def test_an_input_pipeline_has_every_image_once():
    pixels = np.arange(5 * 8 * 8 * 3, dtype="uint8").reshape(5, 8, 8, 3)
    data = kd.data.ImageData("mine", pixels, np.arange(5) % 2, ("a", "b"))
    inputs = kd.data.InputPipeline(data, image_size=8, mean=0, std=1)
    found = np.concatenate(list(forward.image_batches(inputs.evaluation_batches(2), size=128)))
    np.testing.assert_allclose(found, pixels / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES[0], "Of a single image, pass `image\\[None\\]`"),
        (IMAGES[:0], "At least one image is needed"),
        ([], "At least one image is needed"),
        (mark_endless(batch for batch in [IMAGES]), "have no end. Pass those of `evaluation_batches`"),
    ],
)
def test_other_images_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        list(forward.image_batches(images, size=2))


@pytest.mark.eager
def test_the_attention_maps_of_a_batch_have_a_bounded_size(monkeypatch):
    deit, sizes = random_deit(), []
    monkeypatch.setattr(forward, "ATTENTION_BYTES", 3 * BYTES_OF_AN_IMAGE + 1)
    outputs = forward.map_images(lambda backbone, images: sizes.append(len(images)) or images, deit, IMAGES)
    np.testing.assert_array_equal(np.concatenate(list(outputs)), IMAGES)
    assert sizes == [3, 2]


@pytest.mark.eager
@pytest.mark.backend_independent
def test_small_models_get_batches_of_128_images():
    images = random_images(130)
    sizes = [len(batch) for batch in forward.map_images(lambda backbone, images: images, random_deit(), images)]
    assert sizes == [128, 2]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="replicas of TensorFlow")
def test_each_image_has_one_map_on_several_replicas(monkeypatch):
    tensorflow = pytest.importorskip("tensorflow")
    deit = random_deit()
    expected = attention_rollout(deit, IMAGES)
    monkeypatch.setattr(forward, "ATTENTION_BYTES", 2 * BYTES_OF_AN_IMAGE)
    with tensorflow.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        copy = random_deit()
        copy.set_weights(deit.get_weights())
        np.testing.assert_allclose(attention_rollout(copy, IMAGES), expected, rtol=1e-4)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: keras.Sequential([keras.Input((24, 16, 3))]), "pass a keras_deit DeiT, .* Received: Sequential"),
        (
            lambda: kd.DeiTClassifier(random_deit(), token_merging=2),
            r"with token_merging=2. Use `plain = keras_deit.DeiTC",
        ),
    ],
)
def test_other_models_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        attention_rollout(model(), IMAGES)


@pytest.mark.backend_independent
def test_raw_pixels_are_refused():
    with pytest.raises(ValueError, match="must be normalised"):
        attention_rollout(random_deit(), np.full((1, 24, 16, 3), 200, "uint8"))
