"""Published training settings by name."""

import difflib

from keras_deit.recipes.deit import DEIT
from keras_deit.recipes.recipe import Recipe
from keras_deit.recipes.small_data import SMALL_DATA

RECIPES = {recipe.name: recipe for recipe in (SMALL_DATA, DEIT)}
_PLANNED = (
    "deit_distilled_hard",
    "deit_distilled_soft",
    "deit_384",
    "deit3_1k",
    "deit3_finetune_224",
    "deit3_finetune_384",
    "transfer",
)

__all__ = ["RECIPES", "Recipe", "get"]


def get(name):
    """Looks a recipe up.

    Args:
        name: For example `"small_data"` or `"deit"`.

    Returns:
        The `Recipe`.

    Raises:
        ValueError: If there is none of that name.

    Example:

    >>> get("deit").epochs
    300
    """
    if name in RECIPES:
        return RECIPES[name]
    if name in _PLANNED:
        raise ValueError(f"The recipe {name!r} is still to come. This version has {', '.join(RECIPES)}.")
    nearest = difflib.get_close_matches(str(name), RECIPES, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise ValueError(f"There is no recipe {name!r}.{hint} This version has {', '.join(RECIPES)}.")
