"""Runs that fine-tune a convnet as a teacher."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.data import ImageData
from keras_deit.models import ApplicationClassifier, variants
from keras_deit.training import usable_images
from keras_deit.training.resolve import resolve
from keras_deit.training.run import build_run

RNG = np.random.default_rng(0)
CLASSES = ("a", "b")
SHALLOW = dict(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), group_width=8)


@pytest.fixture(autouse=True)
def noise(monkeypatch):
    images = RNG.integers(0, 256, (20, 40, 40, 3), dtype="uint8")
    data = ImageData("noise", images, np.arange(20) % 2, CLASSES)
    monkeypatch.setattr(usable_images, "load", lambda *_, **__: data)
    shallow = dataclasses.replace(variants.VARIANTS["regnety_040"], arguments=SHALLOW)
    monkeypatch.setitem(variants.VARIANTS, "regnety_040", shallow)


def build(directory, **given):
    given = {"dataset": "noise", "recipe": "transfer_convnet", "batch_size": 4, "image_size": 32, **given}
    return build_run(resolve(given), directory)


def test_published_weights_get_a_head_for_the_classes_of_the_dataset(tmp_path):
    pytest.importorskip("safetensors", reason="the weights are in its format")
    published = kd.RegNetY.from_variant("regnety_040", num_classes=1000)
    file = kd.weights.to_timm(published, tmp_path / "model.safetensors")
    with pytest.warns(UserWarning, match="1000 classes, the model 2"):
        run = build(tmp_path / "run", variant="regnety_040", weights=str(file))
    assert run.model is run.student
    assert (run.student.class_names, run.student.output_shape) == (CLASSES, (None, 2))
    assert run.student.preprocessing.image_size == (32, 32)
    for ours, theirs in zip(run.student.get_weights()[:-2], published.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    before = run.student.get_weights()
    loss = run.model.train_on_batch(*run.data.first_batch(), return_dict=True)["loss"]
    assert np.isfinite(loss)
    after = run.student.get_weights()
    assert [np.any(before[index] != after[index]) for index in (0, -2, -1)] == [True] * 3  # the stem and the head
    assert set(run.evaluate()) == {"loss", "accuracy"}


@pytest.mark.backend_independent
def test_weights_of_a_run_keep_their_normalisation(tmp_path):
    record = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    arguments = {"num_classes": 2, "class_names": CLASSES, "preprocessing": record}
    trained = {
        "variant": kd.RegNetY.from_variant("regnety_040", **arguments),
        "architecture": ApplicationClassifier("MobileNet", image_size=32, **arguments),
    }
    for name, model in trained.items():
        model.save(tmp_path / f"{name}.keras")
        value = {"variant": "regnety_040", "architecture": "MobileNet"}[name]
        run = build(tmp_path / "run", **{name: value}, weights=str(tmp_path / f"{name}.keras"))
        assert (run.data.mean, run.data.std) == (record["mean"], record["std"])
        for ours, theirs in zip(run.student.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.backend_independent
def test_weights_of_another_variant_are_refused(tmp_path):
    kd.RegNetY.from_variant("regnety_002", num_classes=2).save(tmp_path / "regnety.keras")
    with pytest.raises(ValueError, match="The variant 'regnety_040' does not fit the model"):
        build(tmp_path / "run", variant="regnety_040", weights=str(tmp_path / "regnety.keras"))


@pytest.mark.backend_independent
def test_an_export_to_onnx_is_refused_before_the_training(tmp_path):
    with pytest.raises(ValueError, match=r"`to_onnx` writes a keras_deit\.DeiT .* Received: RegNetY"):
        build(tmp_path / "run", variant="regnety_040", export=("onnx",))


@pytest.mark.backend_independent
def test_an_application_begins_with_the_weights_of_keras_unless_told_otherwise(monkeypatch, tmp_path):
    received, build_mobilenet = [], keras.applications.MobileNet

    def spy(weights, **options):
        received.append(weights)
        return build_mobilenet(weights=None, **options)

    monkeypatch.setattr(keras.applications, "MobileNet", spy)
    for given in ({}, {"weights": "imagenet"}, {"weights": "none"}):
        run = build(tmp_path / "run", architecture="MobileNet", **given)
    assert received == ["imagenet", "imagenet", None]
    assert (run.student.class_names, run.student.image_size) == (CLASSES, (32, 32))


@pytest.mark.backend_independent
def test_a_download_that_fails_names_the_option_for_random_weights(monkeypatch, tmp_path):
    def fail(**_):
        raise Exception("URL fetch failure")  # as Keras does

    monkeypatch.setattr(keras.applications, "MobileNet", fail)
    with pytest.raises(OSError, match="--weights none begins with random weights"):
        build(tmp_path / "run", architecture="MobileNet")


@pytest.mark.backend_independent
def test_weights_of_another_kind_of_model_are_refused(tmp_path):
    kd.RegNetY.from_variant("regnety_040", num_classes=2).save(tmp_path / "regnety.keras")
    with pytest.raises(ValueError, match="Expected weights of a MobileNet. .*which is a RegNetY"):
        build(tmp_path / "run", architecture="MobileNet", weights=str(tmp_path / "regnety.keras"))


def test_a_fine_tuned_convnet_teaches_a_student_whose_classes_have_another_order(tmp_path):
    """Its logits of the images with its own normalisation, in the order of the student's classes."""
    record = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    model = ApplicationClassifier("MobileNet", 2, image_size=32, class_names=CLASSES[::-1], preprocessing=record)
    model.get_layer("head").set_weights([RNG.normal(size=(1024, 2)), np.array([0.5, -0.5])])
    directory = tmp_path / "teacher"
    directory.mkdir()
    model.save(directory / "student.keras")
    given = {"recipe": "small_data", "patch_size": 16, "teacher": str(directory)}
    with pytest.warns(UserWarning, match="in another order"):
        run = build(tmp_path / "run", variant="deit_ti", **given)
    assert run.model.teacher.image_size == (32, 32)
    images = run.data.first_batch()[0]
    received = keras.ops.convert_to_numpy(run.model.teacher(images, kd.IMAGENET_MEAN, kd.IMAGENET_STD))
    pixels = images * np.float32(kd.IMAGENET_STD) + np.float32(kd.IMAGENET_MEAN)
    expected = model.predict((pixels - 0.5) / 0.5, verbose=0)[:, ::-1]
    np.testing.assert_allclose(received, expected, rtol=1e-3, atol=1e-3)
