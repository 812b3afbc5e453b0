"""A convnet of keras.applications as a model of this package."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.models import ApplicationClassifier
from keras_deit.weights.download import DownloadError

pytestmark = pytest.mark.eager

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
RECORD = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}


def test_the_convnet_gets_the_images_that_it_was_trained_on():
    """Its own features of `preprocess_input` of the pixels, computed by Keras."""
    model = ApplicationClassifier("MobileNet", num_classes=3, image_size=32, preprocessing=RECORD)
    convnet = keras.applications.MobileNet(include_top=False, pooling="avg", weights=None, input_shape=(32, 32, 3))
    convnet.set_weights(model.features.get_weights())
    kernel, bias = model.get_layer("head").get_weights()
    pixels = keras.applications.mobilenet.preprocess_input(PIXELS.copy(), data_format="channels_last")
    expected = convnet.predict(pixels, verbose=0) @ kernel + bias
    images = ((PIXELS / 255 - RECORD["mean"]) / RECORD["std"]).astype("float32")
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_a_saved_convnet_answers_the_same_and_takes_other_classes(tmp_path):
    names = ("cat", "dog", "bird")
    model = ApplicationClassifier("MobileNet", 3, image_size=32, class_names=names, preprocessing=RECORD)
    model.save(tmp_path / "model.keras")
    loaded = kd.pretrained(tmp_path / "model.keras")
    assert (loaded.class_names, loaded.image_size, loaded.preprocessing) == (names, (32, 32), model.preprocessing)
    images = np.ones((1, 32, 32, 3), "float32")
    np.testing.assert_allclose(loaded.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-6)
    with pytest.warns(UserWarning, match="The head is randomly initialised: 5 classes instead of 3"):
        other = kd.pretrained(tmp_path / "model.keras", num_classes=5, image_size=64)
    assert (other.output_shape, other.image_size, other.class_names) == ((None, 5), (64, 64), None)
    for ours, theirs in zip(other.features.get_weights(), model.features.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_head_is_taken_by_the_names_of_the_classes():
    def build(*names):
        return ApplicationClassifier("MobileNet", 3, image_size=32, class_names=names or None)

    trained = build("cat", "dog", "bird")
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    logits = trained.predict(images, verbose=0)
    reordered = build("bird", "Cat", "dog")
    assert reordered.take_weights(trained) == ("The head is reordered: its classes were in another order.",)
    np.testing.assert_allclose(reordered.predict(images, verbose=0), logits[:, [2, 0, 1]], rtol=1e-5, atol=1e-6)
    other = build("oak", "elm", "ash")
    before = other.get_layer("head").get_weights()
    (note,) = other.take_weights(trained)
    assert note == "The head is randomly initialised: its classes were cat, dog, bird, and not oak, elm, ash."
    for ours, fresh in zip(other.get_layer("head").get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, fresh)
    for same in (build("cat", "dog", "bird"), build()):
        assert same.take_weights(trained) == ()
        np.testing.assert_allclose(same.predict(images, verbose=0), logits, rtol=1e-5, atol=1e-6)


@pytest.mark.backend_independent
def test_a_convnet_that_other_formats_cannot_hold_is_named_in_one_line(tmp_path):
    model = ApplicationClassifier("MobileNet", 3, image_size=32)
    with pytest.raises(ValueError, match="no names for the weights of a MobileNet of keras.applications") as raised:
        kd.weights.to_timm(model, tmp_path / "model.safetensors")
    assert len(str(raised.value)) < 300
    assert not list(tmp_path.iterdir())


def test_a_mixed_precision_convnet_has_float32_logits():
    model = ApplicationClassifier("MobileNet", 3, image_size=32, dtype="mixed_bfloat16")
    assert model.features.compute_dtype == "bfloat16"
    assert keras.backend.standardize_dtype(model(np.ones((1, 32, 32, 3), "float32")).dtype) == "float32"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.backend_independent
def test_weights_that_cannot_be_downloaded_are_named(monkeypatch):
    def fail(**_):
        raise Exception("URL fetch failure on https://storage: None -- unreachable")  # as Keras does

    monkeypatch.setattr(keras.applications, "MobileNet", fail)
    with pytest.raises(
        DownloadError, match=r"The ImageNet weights of MobileNet could not be downloaded: URL fetch failure"
    ):
        ApplicationClassifier("MobileNet", 3, image_size=32, weights="imagenet")


@pytest.mark.backend_independent
def test_other_architectures_are_refused():
    with pytest.raises(
        ValueError, match=r"must be a model of keras.applications: ConvNeXtBase, .*Received: .*'ResNet51'"
    ):
        ApplicationClassifier("ResNet51")
    one, other = (ApplicationClassifier(name, 2, image_size=32) for name in ("MobileNet", "MobileNetV3Small"))
    with pytest.raises(ValueError, match="Expected the weights of a MobileNet. Received: those of a MobileNetV3Small"):
        one.take_weights(other)
