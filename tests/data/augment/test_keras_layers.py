"""Keras layers in the place of the recipe's operations."""

import itertools

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit import recipes
from keras_deit.data import Augmentation, ImageData, InputPipeline, InputStallTimer, SamplingPlan
from keras_deit.data.augment.keras_layers import find_layers

BATCH, SIZE = 8, (32, 32)
DEIT = Augmentation.of(recipes.get("deit"))
BACKEND = keras.backend.backend()


@pytest.fixture(scope="module")
def data():
    images = np.random.default_rng(0).integers(0, 256, (24, 40, 40, 3)).astype("uint8")
    return ImageData("noise", images, np.arange(24) % 4, tuple("abcd"))


@pytest.fixture(params=["tf.data", "python"])
def pipeline(request):
    if request.param == "tf.data":
        pytest.importorskip("tensorflow", reason="the pipeline is TensorFlow's")
    else:
        pytest.importorskip("PIL.Image", reason="the pipeline crops by Pillow")
    return request.param


def batches(data, augmentation, pipeline, number=1, recipe=DEIT):
    feed = InputPipeline(data, SIZE, pipeline=pipeline, augmentation=augmentation)
    taken = itertools.islice(iter(feed.training(SamplingPlan(24, BATCH, SIZE, recipe), InputStallTimer())), number)
    return [tuple(map(np.asarray, batch)) for batch in taken]


def crops(data, pipeline, number=1):
    """The same views without anything but the crop."""
    feed = InputPipeline(data, SIZE, pipeline=pipeline)
    plan = SamplingPlan(24, BATCH, SIZE, Augmentation(crop_scale=DEIT.crop_scale, repeats=DEIT.repeats))
    return [
        tuple(map(np.asarray, batch))
        for batch in itertools.islice(iter(feed.training(plan, InputStallTimer())), number)
    ]


def in_inverse(images):
    pixels = (images * kd.IMAGENET_STD + kd.IMAGENET_MEAN) * 255
    return ((255 - pixels) / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD


def test_a_layer_sees_pixels_of_the_crops_and_the_model_normalised_ones(data, pipeline):
    solarized, labels = batches(data, keras.layers.Solarization(threshold_factor=(0.0, 0.0)), pipeline)[0]
    images, expected = crops(data, pipeline)[0]
    np.testing.assert_allclose(solarized, in_inverse(images), atol=1e-4)
    np.testing.assert_array_equal(labels, expected)


def test_layers_of_a_file_or_a_pipeline_follow_one_another_and_mix_labels(data, pipeline, tmp_path):
    layers = [keras.layers.Solarization(threshold_factor=(0.0, 0.0)), keras.layers.MixUp(alpha=0.8, seed=1)]
    keras.Sequential(layers).save(tmp_path / "layers.keras")
    for augmentation in (keras.layers.Pipeline(layers), str(tmp_path / "layers.keras")):
        for (mixed, labels), (images, own) in zip(
            batches(data, augmentation, pipeline, 3), crops(data, pipeline, 3), strict=True
        ):
            inverted = in_inverse(images)
            for place, (image, label) in enumerate(zip(mixed, labels, strict=True)):
                share, partner = mixture(image - inverted[place], inverted - inverted[place])
                assert -1e-6 < share < 1 + 1e-6
                np.testing.assert_allclose(label, (1 - share) * own[place] + share * own[partner], atol=1e-3)


def mixture(change, directions):
    """The share and the number of the direction that make up a change."""
    flat = directions.reshape(len(directions), -1)
    shares = flat @ change.ravel() / np.maximum((flat**2).sum(-1), 1e-9)
    distances = np.abs(shares[:, None] * flat - change.ravel()).max(-1)
    assert distances.min() < 1e-3
    return shares[distances.argmin()], distances.argmin()


def test_every_batch_draws_anew(data, pipeline):
    flips = keras.layers.RandomFlip("horizontal", seed=3)
    decisions = []
    for (flipped, _), (images, _) in zip(batches(data, flips, pipeline, 6), crops(data, pipeline, 6), strict=True):
        turned = [np.allclose(one, other[:, ::-1], atol=1e-4) for one, other in zip(flipped, images, strict=True)]
        same = [np.allclose(one, other, atol=1e-4) for one, other in zip(flipped, images, strict=True)]
        assert np.all(np.array(turned) != np.array(same))
        decisions.append(tuple(turned))
    assert len(set(decisions)) >= 5


def test_a_layer_of_ones_own_runs_or_the_error_names_the_pipeline_that_it_needs(data, pipeline):
    class Turned(keras.layers.Layer):
        def call(self, images):
            return keras.ops.flip(images, 2)

    if pipeline == "tf.data" and BACKEND != "tensorflow":
        with pytest.raises(ValueError, match="pipeline='python'"):
            batches(data, Turned(), pipeline)
        return
    turned, _ = batches(data, Turned(), pipeline)[0]
    np.testing.assert_allclose(turned, crops(data, pipeline)[0][0][:, :, ::-1], atol=1e-4)


def test_a_layer_that_leaves_labels_alone_need_not_know_them(data, pipeline):
    class Inverted(type(keras.layers.RandomFlip()).__base__):
        def transform_images(self, images, transformation, training=True):
            return 255 - images

        def get_random_transformation(self, data, training=True, seed=None):
            return None

    inverted, labels = batches(data, Inverted(), pipeline)[0]
    images, expected = crops(data, pipeline)[0]
    np.testing.assert_allclose(inverted, in_inverse(images), atol=1e-4)
    np.testing.assert_array_equal(labels, expected)


def test_whole_models_are_refused():
    inputs = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="is a model. Put its layers into"):
        find_layers(keras.Model(inputs, keras.layers.MixUp()(inputs), name="mixing"), DEIT)


def test_layers_that_change_the_size_are_refused(data, pipeline):
    with pytest.raises(ValueError, match=r"turn images \(.*, 32, 32, 3\) into \(.*, 16, 16, 3\)"):
        batches(data, keras.layers.CenterCrop(16, 16), pipeline)


@pytest.mark.parametrize("augmentation", ["albumentations", "gone.keras", 3])
def test_what_is_no_layer_is_refused(augmentation):
    with pytest.raises(
        ValueError, match="must be 'keras-cv', the path of a `.keras` file or, in Python, a Keras layer"
    ):
        find_layers(augmentation, DEIT)


@pytest.mark.parametrize("recipe", ["deit", "deit3_1k"])
def test_layers_of_keras_cv_stand_for_a_recipe(recipe, data):
    layers = pytest.importorskip("keras_cv", reason="it is an extra, and no longer developed").layers
    recipe = Augmentation.of(recipes.get(recipe))
    found = [type(pipeline.layers[0]) for pipeline in find_layers("keras-cv", recipe)]
    operations = {"deit": [layers.RandAugment], "deit3_1k": [layers.RandomChoice, layers.RandomColorJitter]}
    erasing = [layers.RandomApply] if recipe.erasing else []
    expected = operations["deit" if recipe.erasing else "deit3_1k"]
    assert found == [layers.RandomFlip, *expected, *erasing, layers.RandomChoice]
    for images, labels in batches(data, "keras-cv", "tf.data", 3, recipe):
        assert images.shape == (BATCH, *SIZE, 3)
        np.testing.assert_allclose(labels.sum(-1), 1, atol=1e-5)
        pixels = (images * kd.IMAGENET_STD + kd.IMAGENET_MEAN) * 255
        assert pixels.min() > -0.01
        assert pixels.max() < 255.01
    if BACKEND != "tensorflow":
        with pytest.raises(ValueError, match="for the pipeline 'tf.data'"):
            batches(data, "keras-cv", "python", recipe=recipe)


def test_without_keras_cv_the_error_names_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "keras_cv", None)
    monkeypatch.setitem(sys.modules, "keras_cv.layers", None)
    with pytest.raises(ImportError, match="keras-cv"):
        find_layers("keras-cv", DEIT)
