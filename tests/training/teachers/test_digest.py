"""The identity of a teacher."""

import keras
import numpy as np

from keras_deit.training.teachers.digest import digest_of_model


def make_model(name, activation="relu"):
    layers = [keras.layers.Dense(2, activation=activation), keras.layers.Dropout(0.5, seed=len(name))]
    model = keras.Sequential([keras.Input((3,)), *layers], name=name)
    model.set_weights([np.ones((3, 2)), np.zeros(2)])
    return model


def test_the_digest_is_that_of_the_computation():
    digest = digest_of_model(make_model("one"))
    assert digest == digest_of_model(make_model("another"))
    assert digest != digest_of_model(make_model("one", "gelu"))
    changed = make_model("one")
    changed.set_weights([np.ones((3, 2)), np.array([0, 1e-7])])
    assert digest != digest_of_model(changed)


def test_a_callable_without_weights_has_no_digest():
    assert digest_of_model(lambda images: images) is None
