"""One training: which figures it has, and that it depends on its seeds alone."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_deit.reproduction import training as training_module
from keras_deit.reproduction.design import ATTENTION, BASE, NO_TEACHER, REPEATED, UNLABELLED, USUAL_SOFT, setting_of
from keras_deit.reproduction.models import build_model
from keras_deit.reproduction.spec import CONVNET, TRANSFORMER, VALIDATION, Setting, Training
from keras_deit.reproduction.training import train

pytestmark = [pytest.mark.eager, pytest.mark.backend_independent]

BASE_SETTING = Setting(hidden_dim=16, num_layers=1)
BASE_TRAINING = Training(
    name="one",
    dataset="digits",
    condition=BASE,
    labels=10,
    seed=0,
    weights_seed=0,
    steps=20,
    evaluated_on=VALIDATION,
    setting=BASE_SETTING,
)


def train_condition(name):
    """Trains a condition for 20 steps with an untrained teacher; returns the model and its figures."""
    setting = setting_of(name, BASE_SETTING)
    if setting.distillation == "none":
        return train(dataclasses.replace(BASE_TRAINING, setting=setting))
    kind = Setting(architecture=CONVNET)
    if setting.teacher == TRANSFORMER:
        kind = dataclasses.replace(BASE_SETTING, distilled=False)
    keras.utils.set_random_seed(1)
    return train(dataclasses.replace(BASE_TRAINING, setting=setting), build_model(kind, (8, 8), 10))


@pytest.mark.parametrize("name", [BASE, USUAL_SOFT, NO_TEACHER, ATTENTION, REPEATED, UNLABELLED])
def test_a_condition_trains(name):
    model, figures = train_condition(name)
    setting = setting_of(name, BASE_SETTING)
    assert ("distillation_accuracy" in figures) == setting.distilled
    assert ("teacher_accuracy" in figures) == (setting.distillation != "none")
    assert 0 <= figures["accuracy"] <= 1
    assert figures["seconds"] > 0
    assert model.distilled == setting.distilled


def test_the_same_training_has_the_same_weights():
    (model, figures), (again, same) = train_condition(BASE), train_condition(BASE)
    assert figures | {"seconds": 0} == same | {"seconds": 0}
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_weights_that_are_not_finite_are_a_divergence(monkeypatch):
    convnet = Setting(architecture=CONVNET, distillation="none")

    class Untrained:
        """A learner that only leaves a weight of its model infinite."""

        def __init__(self, model):
            self.model = model

        def fit(self, *_, **__):
            self.model.set_weights([np.full_like(weight, np.inf) for weight in self.model.get_weights()])

        def evaluate(self, *_, **__):
            return {"accuracy": 0.1}

    monkeypatch.setattr(training_module, "_compiled", lambda training, model, teacher: Untrained(model))
    _, figures = train(dataclasses.replace(BASE_TRAINING, setting=convnet))
    assert figures["diverged"] == 1
    monkeypatch.setattr(Untrained, "fit", lambda *_, **__: None)
    _, figures = train(dataclasses.replace(BASE_TRAINING, setting=convnet))
    assert figures["diverged"] == 0


def test_more_steps_learn_the_digits():
    setting = Setting(architecture=CONVNET, distillation="none", learning_rate=3e-3)
    _, figures = train(dataclasses.replace(BASE_TRAINING, setting=setting, steps=100))
    assert figures["accuracy"] > 0.5
