"""The optimiser of a recipe."""

import dataclasses
import math

import keras
import numpy as np

import keras_deit as kd
from keras_deit import recipes
from keras_deit.training.optimizer import learning_rate_schedule, make_optimizer


def test_the_learning_rate_warms_up_and_follows_a_cosine():
    recipe = recipes.get("deit")  # batch 1024 doubles the peak of 5e-4 at 512
    schedule = learning_rate_schedule(recipe, 2)
    warmup, decay = 10, 590
    for step in (0, 3, 9, 10, 11, 150, 305, 450, 599):
        if step < warmup:
            expected = 1e-6 + (1e-3 - 1e-6) * step / warmup
        else:
            expected = 1e-5 + (1e-3 - 1e-5) * (1 + math.cos(math.pi * (step - warmup) / decay)) / 2
        np.testing.assert_allclose(keras.ops.convert_to_numpy(schedule(step)), expected, rtol=1e-4)


def test_a_run_shorter_than_its_warmup_still_trains():
    recipe = dataclasses.replace(recipes.get("small_data"), epochs=1)
    schedule = learning_rate_schedule(recipe, 4)
    rates = [float(keras.ops.convert_to_numpy(schedule(step))) for step in range(4)]
    np.testing.assert_allclose(rates[0], 5e-4, rtol=1e-6)
    assert rates == sorted(rates, reverse=True)


def test_biases_norms_positions_and_tokens_are_not_decayed():
    student = kd.DeiT.from_variant("deit3_s", num_classes=10, image_size=8, patch_size=4, num_layers=1)
    distilled = kd.DeiT.from_variant("deit_ti", num_classes=10, image_size=8, patch_size=4, num_layers=1)
    optimizer = make_optimizer(recipes.get("small_data"), 10)
    variables = [*student.trainable_variables, *distilled.trainable_variables]
    decayed = {variable.path for variable in variables if optimizer._use_weight_decay(variable)}
    assert decayed == {variable.path for variable in variables if variable.name == "kernel"}
    assert any(variable.name == "distillation_token" for variable in variables)
