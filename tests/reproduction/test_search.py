"""The choice of the settings, from accuracies that are given."""

import pytest

from keras_deit.reproduction.design import QUICK
from keras_deit.reproduction.search import choose_settings
from keras_deit.reproduction.spec import VALIDATION

pytestmark = pytest.mark.backend_independent


class Accuracies:
    """Stands for a `Store` whose accuracies are given by the name of the training."""

    def __init__(self, accuracies):
        self.accuracies = accuracies

    def figures(self, name):
        return {"accuracy": self.accuracies[name]}


def test_the_choice_is_the_best_mean_with_and_without_a_teacher():
    accuracies = {"digits, search, convnet 0": 0.7, "digits, search, convnet 1": 0.9}
    token, plain = (0.80, 0.95, 0.85, 0.7), (0.60, 0.50, 0.65, 0.7)
    for index in range(4):
        accuracies[f"digits, search, distillation token {index}"] = token[index]
        accuracies[f"digits, search, no teacher {index}"] = plain[index]
    trained = []
    base, convnet, rows = choose_settings(QUICK, "digits", trained.extend, Accuracies(accuracies))
    assert convnet == next(one for one in trained if one.name == "digits, search, convnet 1").setting
    assert base == next(one for one in trained if one.name == "digits, search, distillation token 2").setting
    assert [accuracy for _, accuracy in rows] == pytest.approx([0.7, 0.9, 0.7, 0.725, 0.75, 0.7])
    assert {one.evaluated_on for one in trained} == {VALIDATION}
    assert {one.teacher for one in trained if "token" in one.name} == {"digits, search, convnet 1"}
