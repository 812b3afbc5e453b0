"""Recipes by name."""

import dataclasses

import pytest

from keras_deit import recipes


def test_the_deit_recipe_is_the_papers():
    expected = {  # table 9 of the paper and the defaults of the official code
        "epochs": 300,
        "batch_size": 1024,
        "learning_rate": 5e-4,
        "learning_rate_batch": 512,
        "min_learning_rate": 1e-5,
        "warmup_epochs": 5,
        "warmup_learning_rate": 1e-6,
        "weight_decay": 0.05,
        "label_smoothing": 0.1,
        "drop_path_rate": 0.1,
        "distillation": "hard",
    }
    values = dataclasses.asdict(recipes.get("deit"))
    assert {name: values[name] for name in expected} == expected


def test_every_recipe_opens_with_its_command_hardware_time_and_accuracy():
    for name in recipes.RECIPES:
        module = __import__(f"keras_deit.recipes.{name}", fromlist=["x"])
        text = module.__doc__
        assert f"--recipe {name}" in text or name == "small_data"
        assert "python scripts/train.py" in text
        assert "Hardware" in text
        assert "ccuracy" in text


@pytest.mark.parametrize(
    ("name", "message"), [("deit3_1k", "still to come"), ("dei", "Did you mean 'deit'"), (3, "no recipe")]
)
def test_other_names_say_what_there_is(name, message):
    with pytest.raises(ValueError, match=message):
        recipes.get(name)
