"""Recipes by name."""

import importlib

import pytest

from keras_deit import recipes

# Table 9 of the first paper, tables of the second one, and the defaults of the official code, once more.
COMMON = {
    "min_learning_rate": 1e-5,
    "warmup_epochs": 5,
    "warmup_learning_rate": 1e-6,
    "layer_decay": 1.0,
    "schedule": "epochs",
}
DEIT = {
    **COMMON,
    "epochs": 300,
    "batch_size": 1024,
    "learning_rate": 5e-4,
    "learning_rate_batch": 512,
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "drop_path_rate": 0.1,
    "ema_decay": 0.99996,
    "optimizer": "adamw",
    "clip_norm": None,
    "loss": "cross_entropy",
}
DEIT3 = {
    **COMMON,
    "epochs": 800,
    "batch_size": 2048,
    "learning_rate_batch": None,
    "weight_decay": 0.05,
    "optimizer": "lamb",
    "label_smoothing": 0.0,
    "clip_norm": 1.0,
    "loss": "binary_cross_entropy",
    "distillation": "none",
}
FINE_TUNING = {
    **DEIT3,
    "epochs": 20,
    "batch_size": 512,
    "learning_rate": 1e-5,
    "weight_decay": 0.1,
    "optimizer": "adamw",
    "label_smoothing": 0.1,
    "clip_norm": None,
    "loss": "cross_entropy",
}
PUBLISHED = {
    ("deit", "deit_s"): {**DEIT, "distillation": "none"},
    ("deit_distilled_hard", "deit_s"): {**DEIT, "distillation": "hard", "alpha": 0.5},
    ("deit_distilled_soft", "deit_s"): {**DEIT, "distillation": "soft", "alpha": 0.1, "temperature": 3.0},
    ("deit_384", "deit_b_384"): {
        **DEIT,
        "epochs": 30,
        "batch_size": 512,
        "learning_rate": 5e-6,
        "min_learning_rate": 5e-6,
        "weight_decay": 1e-8,
        "drop_path_rate": 0.0,
        "distillation": "hard",
    },
    ("deit3_1k", "deit3_s"): {**DEIT3, "learning_rate": 4e-3, "drop_path_rate": 0.05},
    ("deit3_1k", "deit3_b"): {**DEIT3, "learning_rate": 3e-3, "drop_path_rate": 0.2},
    ("deit3_1k", "deit3_l"): {**DEIT3, "learning_rate": 3e-3, "drop_path_rate": 0.45},
    ("deit3_1k", "deit3_h"): {**DEIT3, "learning_rate": 3e-3, "drop_path_rate": 0.6},
    ("deit3_finetune_224", "deit3_b"): {**FINE_TUNING, "drop_path_rate": 0.2},
    ("deit3_finetune_224", "deit3_l"): {**FINE_TUNING, "drop_path_rate": 0.45},
    ("deit3_finetune_224", "deit3_h"): {**FINE_TUNING, "drop_path_rate": 0.55},
    ("deit3_finetune_384", "deit3_s_384"): {**FINE_TUNING, "drop_path_rate": 0.0},
    ("deit3_finetune_384", "deit3_b_384"): {**FINE_TUNING, "drop_path_rate": 0.15},
    ("deit3_finetune_384", "deit3_l_384"): {**FINE_TUNING, "drop_path_rate": 0.4},
    ("transfer", "deit_b"): {
        "epochs": 1000,
        "batch_size": 768,
        "learning_rate": 0.01,
        "weight_decay": 1e-4,
        "optimizer": "sgd",
        "drop_path_rate": 0.0,
        "distillation": "none",
    },
}


@pytest.mark.parametrize(("name", "variant"), PUBLISHED)
def test_the_recipes_are_the_published_ones(name, variant):
    values, expected = recipes.get(name).values(variant), PUBLISHED[name, variant]
    assert {key: values[key] for key in expected} == expected


def test_what_was_not_published_is_not_made_up():
    assert "drop_path_rate" not in recipes.get("deit3_1k").values("deit3_m")
    assert "learning_rate" not in recipes.get("deit3_1k").values("deit_s")


def test_every_recipe_opens_with_its_command_hardware_time_and_accuracy():
    modules = {"small_data": "small_data", "transfer": "transfer"}
    for name in recipes.RECIPES:
        module = modules.get(name, name.split("_")[0])
        text = importlib.import_module(f"keras_deit.recipes.{module}").__doc__
        assert f"--recipe {name}" in text or name == "small_data"
        assert "python scripts/train.py" in text
        assert "Hardware" in text
        assert "ccuracy" in text


@pytest.mark.parametrize(("name", "message"), [("dei", "Did you mean 'deit'"), (3, "no recipe")])
def test_other_names_say_what_there_is(name, message):
    with pytest.raises(ValueError, match=message):
        recipes.get(name)
