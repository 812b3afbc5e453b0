"""Published training settings by name."""

import difflib

from keras_deit.recipes.deit import DEIT, DEIT_384, DEIT_DISTILLED_HARD, DEIT_DISTILLED_SOFT
from keras_deit.recipes.deit3 import DEIT3_1K, DEIT3_FINETUNE_224, DEIT3_FINETUNE_384
from keras_deit.recipes.recipe import LOSSES, OPTIMIZERS, SCHEDULES, Recipe
from keras_deit.recipes.small_data import SMALL_DATA
from keras_deit.recipes.transfer import TRANSFER

RECIPES = {
    recipe.name: recipe
    for recipe in (
        SMALL_DATA,
        DEIT,
        DEIT_DISTILLED_HARD,
        DEIT_DISTILLED_SOFT,
        DEIT_384,
        DEIT3_1K,
        DEIT3_FINETUNE_224,
        DEIT3_FINETUNE_384,
        TRANSFER,
    )
}

__all__ = ["LOSSES", "OPTIMIZERS", "RECIPES", "SCHEDULES", "Recipe", "get"]


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
    nearest = difflib.get_close_matches(str(name), RECIPES, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise ValueError(f"There is no recipe {name!r}.{hint} There are {', '.join(RECIPES)}.")
