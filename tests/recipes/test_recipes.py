"""Recipes by name."""

import dataclasses
import importlib

import pytest

from keras_deit import recipes

# Table 9 of the first paper, the tables of the second one, and the defaults of the official code, written out again.
COMMON = {
    "min_learning_rate": 1e-5,
    "warmup_epochs": 5,
    "warmup_learning_rate": 1e-6,
    "layer_decay": 1.0,
    "schedule": "epochs",
}
IMAGENET = {
    "crop_scale": (0.08, 1.0),
    "flip": 0.5,
    "auto_augment": "rand-m9-mstd0.5-inc1",
    "color_jitter": 0.0,
    "erasing": 0.0,
    "mixup": 0.8,
    "cutmix": 1.0,
    "repeats": 1,
    "crop_ratio": 0.875,
}
DEIT = {
    **COMMON,
    **IMAGENET,
    "erasing": 0.25,
    "repeats": 3,
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
    **IMAGENET,
    "auto_augment": "3-augment",
    "color_jitter": 0.3,
    "repeats": 3,
    "crop_ratio": 1.0,
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
    **IMAGENET,
    "crop_ratio": 1.0,
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
    ("transfer_convnet", "regnety_040"): {
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "weight_decay": 1e-4,
        "distillation": "none",
        "drop_path_rate": 0.0,
    },
    ("transfer", "deit_b"): {
        **IMAGENET,
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


def test_small_images_are_not_augmented():
    values = recipes.get("small_data").values("deit_ti")
    assert {name: values[name] for name in IMAGENET} == {
        **dict.fromkeys(IMAGENET, 0.0),
        "crop_scale": None,
        "auto_augment": None,
        "repeats": 1,
        "crop_ratio": 1.0,
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": "300"}, "`epochs` must be an integer"),
        ({"drop_path_rate": {"deit_s": 0.1, "deit_b": 1.0}}, "`drop_path_rate` must be at least 0 and less than 1"),
        ({"optimizer": "adam"}, "`optimizer` must be one of"),
    ],
)
def test_a_recipe_checks_its_values_for_every_variant(values, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(recipes.get("deit"), **values)


def test_settings_without_a_value_for_the_variant_are_left_out():
    assert "drop_path_rate" not in recipes.get("deit3_1k").values("deit3_m")
    assert "learning_rate" not in recipes.get("deit3_1k").values("deit_s")


def test_every_recipe_opens_with_its_command_hardware_time_and_accuracy():
    modules = {name: name for name in ("small_data", "few_images", "transfer", "transfer_convnet")}
    for name in recipes.RECIPES:
        module = modules.get(name, name.split("_")[0])
        text = importlib.import_module(f"keras_deit.recipes.{module}").__doc__
        assert f"--recipe {name}" in text or name == "small_data"
        assert "python scripts/train.py" in text
        assert "Hardware" in text
        assert "ccuracy" in text


@pytest.mark.parametrize(("name", "message"), [("dei", "Did you mean 'deit'"), (3, "no recipe")])
def test_unknown_names_are_refused_with_a_hint(name, message):
    with pytest.raises(ValueError, match=message):
        recipes.get(name)
