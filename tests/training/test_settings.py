"""The declared settings of a run."""

import dataclasses
import pathlib
import runpy

import pytest

from keras_deit.recipes import RECIPES
from keras_deit.recipes.fields import settings_of
from keras_deit.recipes.recipe import RecipeFields
from keras_deit.training.settings import Settings, default_in_words

pytest.importorskip("tomli_w", reason="config.toml is written with tomli-w")


def test_every_field_declares_how_it_is_set():
    assert set(settings_of(Settings)) == {field.name for field in dataclasses.fields(Settings)}


def test_the_fields_of_a_recipe_are_not_declared_again():
    assert not set(vars(Settings)["__annotations__"]) & set(settings_of(RecipeFields))


def test_the_default_of_a_recipes_field_is_the_recipes():
    assert default_in_words("clip_norm") == "the recipe's"
    assert default_in_words("teacher_outputs") == "logits"
    assert (default_in_words("check_images"), default_in_words("export")) == ("true", "nothing")
    assert default_in_words("variant") == "the model is that of architecture; one of the two is required"


def test_the_page_of_the_settings_is_up_to_date():
    docs = pathlib.Path(__file__).parents[2] / "docs"
    page = runpy.run_path(docs / "make_settings.py")["page"]()
    assert page == (docs / "settings.md").read_text(encoding="utf-8"), "run `python docs/make_settings.py`"
    for name in settings_of(Settings):
        assert f"| `{name}` |" in page
    for option in ("--config FILE.toml", "--output-dir DIR", "--resume", "--dry-run"):
        assert f"| `{option}` |" in page


def test_the_page_of_the_settings_has_the_values_of_every_recipe():
    page = (pathlib.Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    table = page[page.index("## Recipes") :]
    for name, recipe in RECIPES.items():
        assert f"| `{name}` | {recipe.description} |" in table
    rows = {line.split("|")[1].strip(" `"): line for line in table.splitlines() if line.startswith("| `")}
    assert set(settings_of(RecipeFields)) <= set(rows)
    values = [cell.strip(" `") for cell in rows["learning_rate_batch"].split("|")[2:-1]]
    assert values == [str(recipe.learning_rate_batch or "none") for recipe in RECIPES.values()]
    assert "| deit3_s: 224, deit3_b: 192, deit3_l: 192, deit3_h: 160 |" in rows["image_size"]
