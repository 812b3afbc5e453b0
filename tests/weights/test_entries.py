"""Choosing the weights among everything that a checkpoint holds."""

import numpy as np
import pytest

from keras_deit.weights.entries import choose

pytestmark = pytest.mark.backend_independent
ONE, TWO = {"weight": np.ones(1)}, {"weight": np.full(1, 2.0)}


def value_of(stored, entry=None):
    weights, _ = choose(stored, entry, "the checkpoint")
    return float(weights["weight"][0])


@pytest.mark.parametrize(
    "stored",
    [
        ONE,
        {"model": ONE, "model_ema": TWO},
        {"state_dict": ONE, "state_dict_ema": TWO, "optimizer": {"state": {0: {"step": np.ones(1)}}}},
        {"model": {"state_dict": ONE}, "epoch": 3},
    ],
)
def test_the_weights_themselves_are_the_default(stored):
    assert value_of(stored) == 1
    assert choose(stored, None, "the checkpoint")[1] == ()


@pytest.mark.parametrize("key", ["model_ema", "state_dict_ema", "student", "teacher", "net", "module"])
def test_every_entry_can_be_chosen_and_the_only_one_is_named(key):
    assert value_of({"model": ONE, key: TWO}, key) == 2
    assert choose({key: TWO, "epoch": 3}, None, "the checkpoint") == (TWO, (f"The weights are those under {key!r}.",))


def test_several_entries_need_a_choice():
    with pytest.raises(
        ValueError, match=r"several weights in a.pth: 'student' .*, 'teacher' .*`weights_entry='student'`"
    ):
        choose({"student": ONE, "teacher": TWO, "epoch": 3}, None, "a.pth")


def test_a_prefix_can_be_chosen_and_the_rest_is_counted():
    stored = {"student.weight": np.ones(1), "teacher.weight": np.full(1, 2.0), "teacher.bias": np.ones(1)}
    weights, notes = choose({"state_dict": stored}, "teacher", "the checkpoint")
    assert set(weights) == {"weight", "bias"}
    assert notes == ("1 tensors without the prefix 'teacher.' are left out.",)


@pytest.mark.parametrize("stored", [{}, [1], 3, {"epoch": 3, "lr": 0.1}, {"a": np.ones(1), "b": "text"}])
def test_anything_else_is_refused_with_what_is_there(stored):
    with pytest.raises(ValueError, match="Expected a dictionary from names to tensors in a.pth. Received") as failure:
        choose(stored, None, "a.pth")
    for name in stored if isinstance(stored, dict) else ():
        assert f"{name!r}" in str(failure.value) or name == "a"
