"""Keras layers that replace the operations of an augmentation."""

import functools
import itertools

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit import recipes
from keras_deit.data import Augmentation, ImageData, InputPipeline
from keras_deit.data.augment.keras_layers import check_augmented, find_layers

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
        pytest.importorskip("tensorflow", reason="TensorFlow makes the batches")
    else:
        pytest.importorskip("PIL.Image", reason="Pillow crops the images")
    return request.param


def batches(data, layers, pipeline, number=1, augmentation=DEIT):
    """The first batches of the crops, after they went through layers."""
    options = dict(augmentation=augmentation, augmentation_layers=layers, pipeline=pipeline)
    stream = InputPipeline(data, SIZE, BATCH, **options).training_batches()
    return [tuple(map(np.asarray, batch)) for batch in itertools.islice(iter(stream), number)]


@pytest.fixture(scope="module")
def crops(data):
    """The first batches of the same samples with nothing but their random crops, by pipeline; each is made once."""

    @functools.cache
    def made(pipeline):
        crops_alone = Augmentation(crop_scale=DEIT.crop_scale, repeats=DEIT.repeats)
        stream = InputPipeline(data, SIZE, BATCH, crops_alone, pipeline=pipeline).training_batches()
        return [tuple(map(np.asarray, batch)) for batch in itertools.islice(iter(stream), 6)]

    return made


def inverted(images):
    pixels = (images * kd.IMAGENET_STD + kd.IMAGENET_MEAN) * 255
    return ((255 - pixels) / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD


def test_a_layer_receives_pixels_of_the_crops_and_the_model_normalised_images(data, crops, pipeline):
    solarized, labels = batches(data, keras.layers.Solarization(threshold_factor=(0.0, 0.0)), pipeline)[0]
    images, expected = crops(pipeline)[0]
    np.testing.assert_allclose(solarized, inverted(images), atol=1e-4)
    np.testing.assert_array_equal(labels, expected)


def test_layers_of_a_file_or_a_pipeline_are_applied_in_order_and_mix_labels(data, crops, pipeline, tmp_path):
    layers = [keras.layers.Solarization(threshold_factor=(0.0, 0.0)), keras.layers.MixUp(alpha=0.8, seed=1)]
    keras.Sequential(layers).save(tmp_path / "layers.keras")
    for given in (keras.layers.Pipeline(layers), str(tmp_path / "layers.keras")):
        received = batches(data, given, pipeline, 3)
        for (mixed, labels), (images, own) in zip(received, crops(pipeline)[:3], strict=True):
            solarized = inverted(images)
            for row, (image, label) in enumerate(zip(mixed, labels, strict=True)):
                share, partner = mixture(image - solarized[row], solarized - solarized[row])
                assert -1e-6 < share < 1 + 1e-6
                np.testing.assert_allclose(label, (1 - share) * own[row] + share * own[partner], atol=1e-3)


def mixture(change, directions):
    """The share and the index of the direction whose product is a change."""
    flat = directions.reshape(len(directions), -1)
    shares = flat @ change.ravel() / np.maximum((flat**2).sum(-1), 1e-9)
    distances = np.abs(shares[:, None] * flat - change.ravel()).max(-1)
    assert distances.min() < 1e-3
    return shares[distances.argmin()], distances.argmin()


def test_a_layer_draws_other_values_for_each_batch(data, crops, pipeline):
    flips = keras.layers.RandomFlip("horizontal", seed=3)
    decisions = []
    for (flipped, _), (images, _) in zip(batches(data, flips, pipeline, 6), crops(pipeline), strict=True):
        reversed_ = [np.allclose(one, other[:, ::-1], atol=1e-4) for one, other in zip(flipped, images, strict=True)]
        same = [np.allclose(one, other, atol=1e-4) for one, other in zip(flipped, images, strict=True)]
        assert np.all(np.array(reversed_) != np.array(same))
        decisions.append(tuple(reversed_))
    assert len(set(decisions)) >= 5


def test_a_custom_layer_runs_or_the_error_names_the_pipeline_that_it_needs(data, crops, pipeline):
    class Flipped(keras.layers.Layer):
        def call(self, images):
            return keras.ops.flip(images, 2)

    if pipeline == "tf.data" and BACKEND != "tensorflow":
        with pytest.raises(ValueError, match="pipeline='python'"):
            batches(data, Flipped(), pipeline)
        return
    flipped, _ = batches(data, Flipped(), pipeline)[0]
    np.testing.assert_allclose(flipped, crops(pipeline)[0][0][:, :, ::-1], atol=1e-4)


def test_a_preprocessing_layer_without_a_method_for_labels_leaves_them_unchanged(data, crops, pipeline):
    class Inverted(type(keras.layers.RandomFlip()).__base__):
        def transform_images(self, images, transformation, training=True):
            return 255 - images

        def get_random_transformation(self, data, training=True, seed=None):
            return None

    received, labels = batches(data, Inverted(), pipeline)[0]
    images, expected = crops(pipeline)[0]
    np.testing.assert_allclose(received, inverted(images), atol=1e-4)
    np.testing.assert_array_equal(labels, expected)


def test_models_are_refused():
    inputs = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="is a model. Put its layers into"):
        find_layers(keras.Model(inputs, keras.layers.MixUp()(inputs), name="mixing"), DEIT)


def test_layers_that_change_the_size_are_refused(data, pipeline):
    with pytest.raises(ValueError, match=r"turn images \(.*, 32, 32, 3\) into \(.*, 16, 16, 3\)"):
        batches(data, keras.layers.CenterCrop(16, 16), pipeline)


@pytest.mark.parametrize("layers", ["albumentations", "gone.keras", 3])
def test_other_values_are_refused(layers):
    with pytest.raises(
        ValueError, match="must be 'keras-cv', the path of a `.keras` file or, in Python, a Keras layer"
    ):
        find_layers(layers, DEIT)


@pytest.mark.parametrize("recipe", ["deit", "deit3_1k"])
def test_layers_of_keras_cv_replace_the_operations_of_a_recipe(recipe, data):
    layers = pytest.importorskip("keras_cv", reason="keras-cv is an extra").layers
    augmentation = Augmentation.of(recipes.get(recipe))
    found = [type(pipeline.layers[0]) for pipeline in find_layers("keras-cv", augmentation)]
    operations = {"deit": [layers.RandAugment], "deit3_1k": [layers.RandomChoice, layers.RandomColorJitter]}
    erasing = [layers.RandomApply] if augmentation.erasing else []
    expected = operations[recipe]
    assert found == [layers.RandomFlip, *expected, *erasing, layers.RandomChoice]
    for images, labels in batches(data, "keras-cv", "tf.data", 3, augmentation):
        assert images.shape == (BATCH, *SIZE, 3)
        np.testing.assert_allclose(labels.sum(-1), 1, atol=1e-5)
        pixels = (images * kd.IMAGENET_STD + kd.IMAGENET_MEAN) * 255
        assert pixels.min() > -0.01
        assert pixels.max() < 255.01
    if BACKEND != "tensorflow":
        with pytest.raises(ValueError, match="need the pipeline 'tf.data'"):
            batches(data, "keras-cv", "python", augmentation=augmentation)


def test_without_keras_cv_the_error_names_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "keras_cv", None)
    monkeypatch.setitem(sys.modules, "keras_cv.layers", None)
    with pytest.raises(ImportError, match="keras-cv"):
        find_layers("keras-cv", DEIT)


@pytest.mark.parametrize(
    "layers",
    [
        [keras.layers.Rescaling(1 / 255), keras.layers.RandomFlip("horizontal")],
        [keras.layers.Rescaling(1 / 127.5, offset=-1)],
        [keras.layers.RandomBrightness(0.2, value_range=(0, 1))],
        [keras.layers.Normalization(mean=[123.7, 116.3, 103.5], variance=[3409.0, 3260.0, 3292.0])],
        [keras.layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.0524, 0.0502, 0.0506])],
        [keras.layers.Rescaling(float("nan"))],
    ],
    ids=["rescaling", "to -1..1", "value range", "normalised", "normalised as pixels in 0..1", "not finite"],
)
def test_layers_that_rescale_the_pixels_are_refused(layers, data, pipeline):
    with pytest.raises(Exception, match="must return pixels in 0..255, which are normalised afterwards"):
        batches(data, keras.Sequential(layers), pipeline)


def test_a_layer_that_is_computed_from_its_arguments_when_it_is_built_is_applied(data, crops, pipeline):
    layers = [keras.layers.Normalization(mean=[100.0, 120.0, 80.0], variance=[4.0, 16.0, 25.0])]
    layers.append(keras.layers.Rescaling([-2.0, -4.0, -5.0], offset=[155.0, 135.0, 175.0]))  # 255 - pixels, in all
    received, _ = batches(data, keras.Sequential(layers), pipeline)[0]
    np.testing.assert_allclose(received, inverted(crops(pipeline)[0][0]), atol=1e-4)


def test_strong_noise_is_not_taken_for_another_range():
    rng = np.random.default_rng(0)
    check_augmented(rng.uniform(0, 255, (8, 32, 32, 3)) + rng.normal(0, 60, (8, 32, 32, 3)))


def test_a_layer_that_keeps_labels_may_precede_one_that_takes_them(data, crops, pipeline):
    layers = keras.Sequential([keras.layers.Rescaling(-1.0, 255.0), keras.layers.RandomFlip("horizontal", seed=3)])
    flipped, labels = batches(data, layers, pipeline)[0]
    images, expected = crops(pipeline)[0]
    for image, own in zip(flipped, inverted(images), strict=True):
        assert np.allclose(image, own, atol=1e-4) or np.allclose(image, own[:, ::-1], atol=1e-4)
    np.testing.assert_array_equal(labels, expected)
