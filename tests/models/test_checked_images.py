"""Models refuse raw pixels, however these come."""

import keras
import numpy as np
import pytest

from keras_deit import DeiTClassifier
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from tests.image_folders import write_images

SMALL = dict(image_size=32, patch_size=8, num_layers=1, hidden_dim=48, num_heads=3)
RAW = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("float32")
NORMALIZED = (RAW / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
LABELS = np.array([0, 1, 0, 1])


def compiled_classifier():
    model = DeiTClassifier.from_variant("deit_ti", **SMALL, num_classes=2)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.eager
@pytest.mark.parametrize(
    "use",
    [
        lambda model, images: model.fit(images, LABELS, verbose=0),
        lambda model, images: model.fit(NORMALIZED, LABELS, validation_data=(images, LABELS), verbose=0),
        lambda model, images: model.evaluate(images, LABELS, verbose=0),
        lambda model, images: model.predict(images, verbose=0),
        lambda model, images: model.predict_on_batch(images),
        lambda model, images: model.train_on_batch(images, LABELS),
        lambda model, images: model.test_on_batch(images, LABELS),
        lambda model, images: model(images),
    ],
    ids=["fit", "validation", "evaluate", "predict", "predict_on_batch", "train_on_batch", "test_on_batch", "call"],
)
def test_raw_pixels_are_refused(use):
    model = compiled_classifier()
    with pytest.raises(ValueError, match=r"must be normalised .* Received: float32 values in 0\.\.255"):
        use(model, RAW)
    use(model, NORMALIZED)


def test_arguments_by_position_are_those_of_keras():
    model = compiled_classifier()
    history = model.fit(NORMALIZED, LABELS, 2, 1, 0, None, 0.0, (NORMALIZED, LABELS))
    assert set(history.history) == {"loss", "val_loss"}
    assert model.evaluate(NORMALIZED, LABELS, 2, 0) == pytest.approx(history.history["val_loss"][-1], rel=1e-5)

    def endless():
        while True:
            yield NORMALIZED, LABELS

    assert model.predict(endless(), None, 0, 3).shape == (12, 2)
    with pytest.raises(ValueError, match="must be normalised"):
        model.fit(NORMALIZED, LABELS, 2, 1, 0, None, 0.0, (RAW, LABELS))


def test_raw_pixels_of_a_folder_are_refused(tmp_path):
    """The commonest pipeline of Keras: `image_dataset_from_directory` gives floats in 0..255."""
    pytest.importorskip("tensorflow")
    write_images(tmp_path, 8)
    dataset = keras.utils.image_dataset_from_directory(tmp_path, image_size=(32, 32), batch_size=4, verbose=False)
    model = compiled_classifier()
    with pytest.raises(ValueError, match="^The images must be normalised"):
        model.fit(dataset, verbose=0)
    with pytest.raises(ValueError, match="^The images must be normalised"):
        model.fit(dataset.map(lambda images, labels: (images / 255, labels)), validation_data=dataset, verbose=0)
    normalised = dataset.map(lambda images, labels: ((images / 255 - IMAGENET_MEAN) / IMAGENET_STD, labels))
    model.fit(normalised, validation_data=normalised, verbose=0)


def test_pixels_in_0_to_1_are_questioned():
    with pytest.warns(UserWarning, match=r"seem to be pixels in 0\.\.1"):
        compiled_classifier().predict(RAW / 255, verbose=0)


def test_a_model_whose_record_says_so_takes_pixels_in_0_to_1_without_a_warning(recwarn):
    record = {"mean": (0, 0, 0), "std": (1, 1, 1)}
    model = DeiTClassifier.from_variant("deit_ti", **SMALL, num_classes=2, preprocessing=record)
    model.predict(RAW / 255, verbose=0)
    assert not [one for one in recwarn if "seem to be pixels" in str(one.message)]
