"""The learning rate over a run."""

import dataclasses
import json
import math
import pathlib

import keras
import numpy as np
import pytest

from keras_deit import recipes
from keras_deit.training.resolve import resolve
from keras_deit.training.schedule import CosineByEpochs, CosineBySteps, last_learning_rate, learning_rate_schedule
from tests import goldens

TIMM = json.loads((pathlib.Path(goldens.__file__).parent / "timm_recipes.json").read_text())["rates"]


@pytest.mark.parametrize("name", TIMM)
def test_the_learning_rate_of_every_epoch_is_that_of_timms_scheduler(name):
    recipe, variant = name.split("/")
    schedule = learning_rate_schedule(resolve({"variant": variant, "recipe": recipe}), steps_per_epoch=7)
    steps = 7 * np.arange(len(TIMM[name]))
    for within in (0, 6):  # the first and the last step of an epoch
        rates = [keras.ops.convert_to_numpy(schedule(step + within)) for step in steps]
        np.testing.assert_allclose(rates, TIMM[name], rtol=1e-6, atol=2e-7 * max(TIMM[name]))  # the cosine in float32


def test_every_published_schedule_is_compared():
    published = {name for name, recipe in recipes.RECIPES.items() if recipe.schedule == "epochs"}
    assert {name.split("/")[0] for name in TIMM} == published


def test_by_steps_the_cosine_begins_where_the_warm_up_ends():
    recipe = recipes.get("small_data")  # 20 epochs, 2 of warm-up, peak 5e-4
    schedule = learning_rate_schedule(recipe, 10)
    for step in (0, 3, 19, 20, 21, 110, 199):
        if step < 20:
            expected = 1e-6 + (5e-4 - 1e-6) * step / 20
        else:
            expected = 1e-5 + (5e-4 - 1e-5) * (1 + math.cos(math.pi * (step - 20) / 180)) / 2
        np.testing.assert_allclose(keras.ops.convert_to_numpy(schedule(step)), expected, rtol=1e-4)


@pytest.mark.parametrize("warmup_steps", [0, 6])
def test_by_steps_the_rates_are_those_of_keras(warmup_steps):
    schedule = CosineBySteps(2e-3, 1e-5, steps=30, warmup_steps=warmup_steps, warmup_from=1e-4)
    expected = keras.optimizers.schedules.CosineDecay(
        1e-4 if warmup_steps else 2e-3,
        decay_steps=30 - warmup_steps,
        alpha=1e-5 / 2e-3,
        warmup_target=2e-3 if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    for step in (0, 1, 5, 6, 7, 15, 29, 30, 31):
        rates = [keras.ops.convert_to_numpy(each(step)) for each in (schedule, expected)]
        np.testing.assert_allclose(*rates, rtol=1e-5)


@pytest.mark.parametrize("name", ["small_data", "deit"])
def test_a_run_shorter_than_its_warmup_still_trains(name):
    recipe = dataclasses.replace(recipes.get(name), epochs=1)
    rates = [float(keras.ops.convert_to_numpy(learning_rate_schedule(recipe, 4)(step))) for step in range(4)]
    assert rates[0] > 4e-4
    assert rates == sorted(rates, reverse=True)


def test_a_rate_that_rises_to_its_least_value_is_said():
    """The rate of a recipe is proportional to the batch size, its least rate is not."""
    settings = resolve(
        {"variant": "deit_ti", "recipe": "deit", "batch_size": 4}
    )  # peak 5e-4 · 4 / 512, least rate 1e-5
    with pytest.warns(UserWarning, match="rises: min_learning_rate=1e-05 .* peak, 3.91e-06,.* the batch size of 4"):
        learning_rate_schedule(settings, 10)


@pytest.mark.parametrize(
    "schedule",
    [
        CosineByEpochs(1e-3, 1e-5, epochs=10, warmup_epochs=2, warmup_from=1e-6, steps_per_epoch=3),
        CosineBySteps(1e-3, 1e-5, steps=30, warmup_steps=6, warmup_from=1e-6),
    ],
)
def test_the_schedule_is_saved_with_its_optimizer(schedule):
    optimizer = keras.optimizers.AdamW(schedule)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    for step in (0, 5, 29):
        assert float(again._learning_rate(step)) == float(schedule(step))


def apply(optimizer, gradient, weight):
    """Applies a gradient of the shape (1,) and returns the new value of the weight as a Python float."""
    if keras.backend.backend() == "jax":  # as Keras trains; LossScaleOptimizer.apply leaks tracers on JAX
        (value,), state = optimizer.stateless_apply(optimizer.variables, [gradient], [weight.value])
        for variable, new in zip([*optimizer.variables, weight], [*state, value], strict=True):
            variable.assign(new)
    else:
        optimizer.apply([gradient], [weight])
    return float(keras.ops.convert_to_numpy(weight)[0])


@pytest.mark.parametrize("wrap", [lambda optimizer: optimizer, keras.optimizers.LossScaleOptimizer])
def test_the_last_learning_rate_is_that_of_the_step_before(wrap):
    schedule = CosineByEpochs(0.5, 0.0, epochs=4, warmup_epochs=0, warmup_from=0.0, steps_per_epoch=2)
    optimizer, weight = wrap(keras.optimizers.SGD(schedule)), keras.Variable([0.0])
    optimizer.build([weight])
    weights, rates = [0.0], []
    for _ in range(5):
        scale = optimizer.initial_scale if hasattr(optimizer, "initial_scale") else 1.0
        weights.append(apply(optimizer, keras.ops.convert_to_tensor([-scale]), weight))
        rates.append(last_learning_rate(optimizer))
    np.testing.assert_allclose(rates, np.diff(weights), rtol=1e-5)  # the gradient is -1
    np.testing.assert_allclose(rates, [0.5, 0.5, 0.25 + 0.125 * 2**0.5, 0.25 + 0.125 * 2**0.5, 0.25], rtol=1e-5)
