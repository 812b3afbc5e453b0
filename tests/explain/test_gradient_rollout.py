"""Gradient-weighted rollout, compared with finite differences of a NumPy model in float64."""

import numpy as np
import pytest

import keras_deit as kd
from keras_deit.explain import gradient_rollout
from tests import numpy_reference
from tests.battery import weights_of
from tests.explain.models import random_deit, random_images

pytestmark = pytest.mark.eager
SMALL = {"image_size": (4, 8), "patch_size": 4, "hidden_dim": 8, "intermediate_dim": 8, "num_classes": 3}
STEP = 1e-5


@pytest.fixture(scope="module")
def deit():
    return random_deit(**SMALL)


def images_of(number):
    return np.random.default_rng(7).normal(size=(number, 4, 8, 3)).astype("float32")


def with_offsets(offsets, monkeypatch):
    """Lets the attention of the NumPy model add the offsets, one for each block, to its maps; returns the list of maps."""
    maps, blocks = [], iter(offsets)

    def attention(tokens, weights, num_heads):
        qkv = numpy_reference.dense(tokens, numpy_reference.subweights(weights, "qkv"))
        query, key, value = qkv.reshape(*tokens.shape[:2], 3, num_heads, -1).transpose(2, 0, 3, 1, 4)
        logits = query @ key.swapaxes(-1, -2) / np.sqrt(key.shape[-1])
        maps.append(numpy_reference.softmax(logits) + next(blocks))
        mixed = (maps[-1] @ value).transpose(0, 2, 1, 3).reshape(tokens.shape)
        return numpy_reference.dense(mixed, numpy_reference.subweights(weights, "projection")), maps[-1]

    monkeypatch.setattr(numpy_reference, "attention", attention)
    return maps


@pytest.mark.parametrize(("token", "index"), [("class", 0), ("distillation", 1)])
@pytest.mark.parametrize("class_index", [None, 2])
def test_attention_is_weighted_by_the_gradient_of_the_class(deit, token, index, class_index, monkeypatch):
    image = images_of(1)
    weights, head = weights_of(deit.backbone), weights_of(deit.get_layer(f"{token}_head"))

    def logits_and_maps(offsets):
        maps = with_offsets(offsets, monkeypatch)
        tokens = numpy_reference.backbone(image.astype("float64"), weights, num_layers=2, num_heads=2)[0]
        return numpy_reference.dense(tokens[0, index], head), np.array(maps)[:, 0]

    zeros = np.zeros((2, 1, 2, 4, 4))  # blocks, images, heads, tokens, tokens
    logits, maps = logits_and_maps(zeros)
    chosen = logits.argmax() if class_index is None else class_index
    slopes = np.zeros((2, 2, 4, 4))
    for position in np.ndindex(slopes.shape):
        offsets = zeros.copy()
        offsets[:, 0][position] = STEP
        slopes[position] = (logits_and_maps(offsets)[0] - logits_and_maps(-offsets)[0])[chosen] / (2 * STEP)
    product = np.eye(4)
    for of_block in np.maximum(slopes * maps, 0).mean(axis=1):
        product = product + of_block @ product
    expected = (product[index, 2:] / product[index, 2:].sum()).reshape(1, 1, 2)
    found = gradient_rollout(deit, image, token, class_index)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.compiled
def test_a_compiled_classifier_has_a_map_for_each_class_and_image(deit):
    classifier, images = kd.DeiTClassifier(random_deit()), random_images(3)
    maps = np.stack([gradient_rollout(classifier, images, class_index=index) for index in range(5)])
    np.testing.assert_allclose(maps.sum((2, 3)), 1, rtol=1e-5)
    assert all(abs(maps[0, image] - maps[1, image]).max() > 1e-3 for image in range(3))
    alone = gradient_rollout(classifier.deit, images[1:2], class_index=1)
    np.testing.assert_allclose(alone[0], maps[1, 1], rtol=1e-3)


def test_frozen_weights_have_maps_and_stay_as_they_are():
    deit, images = random_deit(**SMALL), images_of(2)
    expected = gradient_rollout(deit, images)
    deit.trainable = False
    before = deit.get_weights()
    np.testing.assert_allclose(gradient_rollout(deit, images), expected, rtol=1e-4)
    for one, other in zip(before, deit.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (lambda deit: deit, {"class_index": 3}, r"`class_index` must lie in 0..2, or be None. Received: class_index=3"),
        (lambda deit: deit.backbone, {}, "head of a token: pass a keras_deit DeiT. Received: DeiTBackbone"),
        (lambda deit: kd.DeiTClassifier(deit, fusion="sum"), {}, "Received: a DeiTClassifier with fusion='sum'"),
        (
            lambda deit: random_deit(**SMALL, distilled=False),
            {"token": "distillation"},
            "needs a model with a distillation",
        ),
    ],
)
def test_models_without_the_head_or_class_are_refused(deit, model, arguments, message):
    with pytest.raises(ValueError, match=message):
        gradient_rollout(model(deit), images_of(1), **arguments)


@pytest.mark.backend_independent
def test_a_class_that_no_attention_raises_has_an_error_of_its_own():
    deit = random_deit(**SMALL)
    head = deit.get_layer("class_head")
    head.set_weights([np.zeros_like(weight) for weight in head.get_weights()])
    with pytest.raises(
        ValueError, match="No attention to a patch raises the logit of the class: pass another"
    ) as error:
        gradient_rollout(deit, images_of(1))
    assert "damaged" not in str(error.value)
