"""The images of a training: labelled subset, hidden labels, and splits that are kept apart."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from keras_deit import data
from keras_deit.reproduction import images
from keras_deit.reproduction.design import BASE, FULL, comparison
from keras_deit.reproduction.images import evaluation_images, load_split, training_images, training_pool
from keras_deit.reproduction.spec import CONVNET, TEST, VALIDATION, Setting

pytestmark = pytest.mark.backend_independent

TRAININGS = comparison(FULL, "digits", Setting(), Setting(architecture=CONVNET, distillation="none"))
BASE_TRAINING = next(one for one in TRAININGS if one.condition == BASE and one.labels == 30)


def rows(dataset):
    """The images as a set of bytes."""
    return {image.tobytes() for image in dataset.images}


@pytest.fixture
def fresh(monkeypatch):
    """Forgets the splits that were loaded; returns the names of those that are loaded from now on."""
    loaded = []

    def load(name, split):
        loaded.append(split)
        return data.load(name, split)

    load_split.cache_clear()
    training_pool.cache_clear()
    monkeypatch.setattr(images, "load", load)
    return loaded


def test_the_subset_has_the_labels_of_each_class():
    chosen = training_images(BASE_TRAINING)
    assert np.bincount(chosen.labels).tolist() == [30] * 10
    everything = training_images(dataclasses.replace(BASE_TRAINING, labels=None))
    assert len(everything) == len(training_pool("digits"))


def test_training_validation_and_test_images_are_different_ones():
    pool, validation, test = training_pool("digits"), *(evaluation_images("digits", one) for one in (VALIDATION, TEST))
    assert len(pool) + len(validation) == len(data.load("digits", "train"))
    assert len(test) == len(data.load("digits", "test"))
    # A few digits of the dataset are equal, so images are compared by number and not one by one.
    assert len(rows(pool) & rows(validation)) < 5
    assert len(rows(pool) & rows(test)) < 5


def test_the_test_split_is_not_read_for_the_validation_split(fresh):
    training_images(BASE_TRAINING)
    evaluation_images("digits", VALIDATION)
    assert fresh == ["train"]
    evaluation_images("digits", TEST)
    assert fresh == ["train", "test"]


def test_unlabelled_images_are_the_others_and_make_up_half():
    setting = dataclasses.replace(BASE_TRAINING.setting, unlabelled=True)
    labelled = training_images(BASE_TRAINING)
    mixed = training_images(dataclasses.replace(BASE_TRAINING, setting=setting))
    hidden = mixed.select(mixed.labels < 0)
    assert len(hidden) == len(training_pool("digits")) - 300
    assert rows(mixed.select(mixed.labels >= 0)) == rows(labelled)
    assert 0.4 < len(hidden) / len(mixed) < 0.6


def test_images_of_files_are_read_into_memory(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 40, 3)).astype("uint8")
    for index, image in enumerate(pixels):
        folder = tmp_path / "ab"[index % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"{index:02}.png")
    loaded = load_split(str(tmp_path), "train")
    assert loaded.images.shape == (16, 32, 32, 3)
    assert loaded.images.dtype == "uint8"
    assert np.bincount(loaded.labels).tolist() == [8, 8]
