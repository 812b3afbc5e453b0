"""The losses on the labels, compared with NumPy."""

import dataclasses

import keras
import numpy as np

from keras_deit import recipes
from keras_deit.training.label_loss import make_criterion

LOGITS = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
MIXED = np.array([[0.3, 0.7, 0, 0], [0, 0, 1, 0], [0.5, 0, 0, 0.5]], "float32")


def test_binary_cross_entropy_targets_every_class_of_a_mixed_label():
    criterion = make_criterion(recipes.get("deit3_1k"))
    present = MIXED > 0
    shares = 1 / (1 + np.exp(-LOGITS.astype("float64")))
    expected = -np.where(present, np.log(shares), np.log(1 - shares)).mean()
    np.testing.assert_allclose(float(criterion(MIXED, LOGITS)), expected, rtol=1e-6)


def test_cross_entropy_smooths_the_labels():
    criterion = make_criterion(dataclasses.replace(recipes.get("deit"), label_smoothing=0.2))
    logs = LOGITS.astype("float64") - np.log(np.exp(LOGITS.astype("float64")).sum(axis=-1, keepdims=True))
    expected = -((0.8 * MIXED + 0.2 / 4) * logs).sum(axis=-1).mean()
    np.testing.assert_allclose(float(criterion(MIXED, LOGITS)), expected, rtol=1e-6)


def test_the_criterion_is_saved_with_its_model():
    criterion = make_criterion(recipes.get("deit3_1k"))
    again = keras.losses.deserialize(keras.losses.serialize(criterion))
    assert float(again(MIXED, LOGITS)) == float(criterion(MIXED, LOGITS))
