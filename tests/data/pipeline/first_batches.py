"""Pipelines with a seed and an augmentation, and the first batches that they make."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest

from keras_deit import recipes
from keras_deit.data import Augmentation, InputPipeline

AUGMENTATIONS = {
    "deit": dataclasses.replace(Augmentation.of(recipes.get("deit")), erasing=0.5, repeats=1),
    "deit3": Augmentation.of(recipes.get("deit3_1k")),
    "nothing": Augmentation(),
}


def skip_without(pipeline):
    """Skips a test if a pipeline cannot make batches here."""
    if pipeline == "tf.data":
        pytest.importorskip("tensorflow", reason="TensorFlow makes the batches")
    if pipeline == "grain":
        pytest.importorskip("grain", reason="Grain makes the batches")
        if keras.backend.backend() == "tensorflow":
            pytest.skip("with TensorFlow the pipeline is tf.data")


def input_pipeline(data, pipeline, augmentation="deit", num_workers=None):
    """Batches of 8 samples of 48×64 pixels, three an epoch; by a single thread or, with Grain, by this process."""
    num_workers = num_workers or (0 if pipeline == "grain" else 1)
    options = dict(augmentation=AUGMENTATIONS[augmentation], crop_ratio=0.875, seed=3)
    return InputPipeline(data, (48, 64), 8, pipeline=pipeline, num_workers=num_workers, **options)


def take(batches, number):
    """The first batches as NumPy arrays."""
    return [keras.tree.map_structure(np.asarray, batch) for batch in itertools.islice(iter(batches), number)]


def assert_equal(one, two):
    """Compares nested arrays to the bit."""
    for left, right in zip(keras.tree.flatten(one), keras.tree.flatten(two), strict=True):
        np.testing.assert_array_equal(left, right)
