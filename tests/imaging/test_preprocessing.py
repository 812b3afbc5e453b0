"""The record of how images are prepared."""

import json

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.imaging.preprocessing import Preprocessing, crop_ratio_of

RECORD = Preprocessing((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), 0.9, "bilinear", True)
TINY = dict(image_size=16, patch_size=8, hidden_dim=8, num_layers=1, num_heads=2)


@pytest.mark.backend_independent
def test_a_ratio_gives_back_the_size_that_it_was_computed_from():
    for crop in (1, 3, 29, 224, 384):
        for resized in range(crop, 2 * crop + 300):
            assert int(crop / crop_ratio_of(crop, resized)) == resized


@pytest.mark.backend_independent
def test_the_record_survives_json_and_refuses_what_is_out_of_range():
    assert Preprocessing.of(json.loads(json.dumps(RECORD.get_config()))) == RECORD
    assert Preprocessing.of(None) is None
    for wrong, message in (
        ({"crop": 0.9}, "or a dictionary with keys of"),
        ({"crop_ratio": 1.5}, "`crop_ratio` must be"),
        ({"std": (1, 0, 1)}, "`std` must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            Preprocessing.of(wrong)


@pytest.mark.parametrize("kind", ["DeiT", "DeiTClassifier", "RegNetY", "DeiTMaskedImageModel"])
def test_models_are_saved_with_their_record(kind, tmp_path):
    if kind == "RegNetY":
        model = kd.RegNetY((8,), (1,), 4, num_classes=2, class_names=("a", "b"), preprocessing=RECORD)
    elif kind == "DeiTMaskedImageModel":
        model = kd.DeiTMaskedImageModel(**TINY, preprocessing=RECORD)
    else:
        model = kd.DeiT(2, **TINY, class_names=["a", "b"], preprocessing=RECORD)
        model = kd.DeiTClassifier(model) if kind == "DeiTClassifier" else model
    model.save(tmp_path / "model.keras")
    loaded = kd.pretrained(tmp_path / "model.keras")
    assert type(loaded).__name__ == kind
    assert loaded.preprocessing == RECORD
    assert loaded.class_names == (None if kind == "DeiTMaskedImageModel" else ("a", "b"))
    processor = loaded.image_processor(crop_ratio=0.5)
    assert processor.image_size == ((224, 224) if kind == "RegNetY" else (16, 16))
    assert (processor.crop_ratio, processor.squash, processor.interpolation) == (0.5, True, "bilinear")
    np.testing.assert_allclose(processor.mean, RECORD.mean)


def test_without_a_record_images_are_prepared_as_in_the_official_evaluation():
    processor = kd.DeiT(**TINY).image_processor()
    assert (processor.crop_ratio, processor.interpolation, processor.squash) == (0.875, "bicubic", False)
    np.testing.assert_allclose((processor.mean, processor.std), (kd.IMAGENET_MEAN, kd.IMAGENET_STD))


@pytest.mark.backend_independent
def test_the_pixels_of_normalised_images_are_the_pixels_before():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype("uint8")
    normalised = keras.ops.convert_to_numpy(RECORD.processor(16, crop_ratio=1.0)(pixels))
    np.testing.assert_array_equal(RECORD.undo_normalisation(normalised), pixels)
    assert RECORD.undo_normalisation(normalised).dtype == np.uint8
