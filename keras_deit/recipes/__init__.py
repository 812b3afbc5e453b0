"""Training settings by name: the published ones, and those for a few thousand small images."""

import difflib

from keras_deit.recipes.deit import DEIT, DEIT_384, DEIT_DISTILLED_HARD, DEIT_DISTILLED_SOFT
from keras_deit.recipes.deit3 import DEIT3_1K, DEIT3_FINETUNE_224, DEIT3_FINETUNE_384
from keras_deit.recipes.few_images import FEW_IMAGES
from keras_deit.recipes.recipe import Recipe
from keras_deit.recipes.small_data import SMALL_DATA
from keras_deit.recipes.transfer import TRANSFER
from keras_deit.recipes.transfer_convnet import TRANSFER_CONVNET

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
        FEW_IMAGES,
        TRANSFER_CONVNET,
    )
}

__all__ = ["RECIPES", "Recipe", "get"]


def get(name):
    """Returns a recipe by name.

    Args:
        name: Name of the recipe, for example `"small_data"` or `"deit"`.

    Returns:
        The `Recipe`.

    Raises:
        ValueError: If there is no recipe of this name.

    Example:

    >>> get("deit").epochs
    300
    """
    if name in RECIPES:
        return RECIPES[name]
    nearest = difflib.get_close_matches(str(name), RECIPES, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise ValueError(f"There is no recipe {name!r}.{hint} The recipes are {', '.join(RECIPES)}.")
