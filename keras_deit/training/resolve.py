"""Where each setting of a run comes from: command line, then configuration file, then recipe."""

import contextlib
import dataclasses
import re

from keras_deit import recipes
from keras_deit.imaging.normalisation import check_normalisation
from keras_deit.recipes.fields import NONE
from keras_deit.training.config_file import read_config
from keras_deit.training.settings import IMAGENET, OF_RECIPES, SETTINGS, Settings, check_names, decode_value


def resolve(command_line, config=None, defaults=None):
    """Resolves the settings of a run.

    A setting is taken from the first of these that has a value: `command_line`, the file `config`, `defaults`, the recipe,
    the default of the field in `Settings`.

    Args:
        command_line: Dictionary from names to values. None means that the setting is not given; `"none"` means None.
        config: Path of a configuration file, or None.
        defaults: Dictionary of values that replace the recipe's; None means no such values.

    Returns:
        `Settings`.

    Raises:
        ValueError: If a setting is unknown or does not accept its value, the variant is missing, the recipe has no value
            for the variant, the recipe of the file and that of the command line differ, or settings contradict each other.

    Example:

    >>> resolve({"variant": "deit_ti", "epochs": 5}).batch_size
    32
    """
    from keras_deit.data import Augmentation  # not at the top: the command line's help needs no Keras

    given = {name: value for name, value in command_line.items() if value is not None}
    check_names(given)
    if config:
        given = _over(read_config(config), given, config)
    if "architecture" in given:
        defaults = {**(defaults or {}), "variant": NONE, "weights": IMAGENET}
    given = {name: decode_value(name, value) for name, value in {**(defaults or {}), **given}.items()}
    for name, value in given.items():
        with _naming_the_option(name):
            SETTINGS[name].check(value)
    model_name = _model_name(given.get("variant"), given.get("architecture"))
    recipe = recipes.get(given.get("recipe", SETTINGS["recipe"].default))
    values = {**_defaults(), **recipe.values(model_name), **given}
    for name in OF_RECIPES:
        if name not in values:
            raise ValueError(
                f"The recipe {recipe.name!r} has no published `{name}` for {model_name!r}. Pass "
                f"{SETTINGS[name].option} {SETTINGS[name].placeholder}."
            )
    settings = Settings(**values)
    with _naming_the_option("auto_augment"):
        Augmentation.of(settings)  # raises if the policy is unknown
    if settings.is_convnet:
        _check_convnet(settings)
    _check_layer_decay(settings)
    _check_teacher(settings)
    return settings


def is_given(name, command_line, config=None):
    """Returns whether a setting has a value of its own, which is not the recipe's; see `resolve` for the arguments."""
    return command_line.get(name) is not None or bool(config and name in read_config(config))


def _model_name(variant, architecture):
    from keras_deit.models import get_variant

    if variant and architecture:
        raise ValueError(
            f"`variant` and `architecture` both name the model. Received: variant={variant!r} and "
            f"architecture={architecture!r}. Leave one of them out."
        )
    if not variant and not architecture:
        raise ValueError("Which variant? For example --variant deit_ti; `keras-deit train --help` lists them.")
    return architecture or get_variant(variant, "regnety" if variant.startswith("regnety") else "deit").name


def _defaults():
    return {
        name: declared.default for name, declared in SETTINGS.items() if declared.default is not dataclasses.MISSING
    }


def _over(config, command_line, path):
    recipe = command_line.get("recipe")
    if "recipe" in config and recipe not in (None, config["recipe"]):
        raise ValueError(
            f"The file {str(path)!r} sets the recipe {config['recipe']!r}, and its values would override those of --recipe "
            f"{recipe}. Leave out --config or --recipe."
        )
    return {**config, **command_line}


@contextlib.contextmanager
def _naming_the_option(name):
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error}. Pass another {SETTINGS[name].option}.") from error


def _check_convnet(settings):
    """Checks that no setting is given that only a DeiT has."""
    if settings.distillation != "none":
        raise ValueError(
            f"{settings.model_name} is a convnet: a run trains its one head on the labels alone. Received: "
            f"distillation={settings.distillation!r}. Pass --recipe transfer_convnet, or --distillation none."
        )
    off = {
        "patch_size": None,
        "num_layers": None,
        "num_heads": None,
        "drop_path_rate": 0,
        "layer_decay": 1,
        "remat": False,
        "lora_rank": None,
        "accumulate": 1,  # the batch norm of a part is not that of the batch
        "compare": False,
        "attention_weight": 0,
        "alpha": None,
    }
    off.update((name, declared.default) for name, declared in SETTINGS.items() if re.match("teacher(_|$)", name))
    if settings.architecture:
        off["weights_entry"] = None
    for name, value in off.items():
        if getattr(settings, name) != value:
            raise ValueError(
                f"`{name}` is a setting of a DeiT, and {settings.model_name} is a convnet. Received: "
                f"{name}={getattr(settings, name)!r}. Leave {SETTINGS[name].option} out, or, if the recipe "
                f"{settings.recipe!r} or a configuration has the value, {_off_in_words(name, value)}."
            )
    if settings.weights == IMAGENET and not settings.architecture:
        raise ValueError(
            f"`weights={IMAGENET!r}` are those of keras.applications, for --architecture only. Pass --weights "
            f"{settings.variant} for the published weights of this variant."
        )


def _off_in_words(name, value):
    """The option that turns a setting off."""
    option = SETTINGS[name].option
    if isinstance(value, bool):
        return f"pass {option.replace('--', '--no-')}"
    return f"pass {option} {NONE if value is None else value}"


def _check_layer_decay(settings):
    if settings.layer_decay != 1 and settings.optimizer != "adamw":
        raise ValueError(
            f"`layer_decay` is only for the optimizer adamw. Received: layer_decay={settings.layer_decay} and "
            f"optimizer={settings.optimizer!r}. Pass --optimizer adamw with a learning rate of its own, or --layer-decay 1."
        )


def _check_teacher(settings):
    if settings.distillation == "none":
        _check_without_teacher(settings)
    if settings.teacher is None:
        _check_trained_teacher(settings)
    normalisation = [f"teacher_{name}" for name in ("value_range", "mean", "std")]
    given = [name for name in normalisation if getattr(settings, name) is not None]
    if settings.teacher_preprocessing and given:
        raise ValueError(
            "`teacher_preprocessing` replaces `teacher_value_range`, `teacher_mean` and `teacher_std`. Received: "
            f"teacher_preprocessing={settings.teacher_preprocessing!r} and {', '.join(given)}. Leave out one or the other."
        )
    names = ("teacher_mean", "teacher_std", "teacher_value_range")
    mean, std, value_range = (getattr(settings, name) for name in names)
    check_normalisation(mean, std, value_range or (0, 1), names)
    if settings.teacher_cache and settings.attention_weight:
        raise ValueError(
            "`attention_weight` needs the teacher itself, whose attention maps are not stored in a teacher cache. Leave out "
            "--teacher-cache or --attention-weight."
        )
    if settings.teacher_cache and settings.augmentation_layers:
        raise ValueError(
            "The layers of `augmentation_layers` have random generators of their own, so the teacher's outputs for their "
            "images cannot be stored. Leave out --teacher-cache or --augmentation-layers."
        )


def _check_without_teacher(settings):
    is_of_recipe = recipes.get(settings.recipe).distillation == "none"
    reason = f"the recipe {settings.recipe!r} trains without a teacher" if is_of_recipe else "--distillation is none"
    for name, declared in SETTINGS.items():
        if re.match("teacher(_|$)", name) and getattr(settings, name) != declared.default:
            turn_off = f"pass {declared.option} none" if declared.accepts_none else f"leave {declared.option} out"
            raise ValueError(
                f"A teacher is not used, because {reason}. Received: {name}={getattr(settings, name)!r}. To distil from the "
                f"teacher, pass --distillation hard or soft; to train on labels alone, {turn_off}."
            )
    turned_off_by = {
        "compare": "--no-compare",
        "attention_weight": "--attention-weight 0",
        "alpha": "--alpha none",
    }
    for name, option in turned_off_by.items():
        if getattr(settings, name):
            raise ValueError(
                f"`{name}` needs a teacher, but {reason}. Received: {name}={getattr(settings, name)!r}. Pass "
                f"--distillation hard or soft, or {option}."
            )


def _check_trained_teacher(settings):
    for name in ("outputs", "image_size", "value_range", "mean", "std", "preprocessing", "same_classes"):
        if getattr(settings, f"teacher_{name}") not in (None, False):
            raise ValueError(f"`teacher_{name}` describes a teacher of your own. Which one? Pass --teacher as well.")
    if settings.attention_weight:
        raise ValueError(
            "`attention_weight` needs a transformer teacher, and the teacher that a run trains by itself is a convnet. Pass "
            "--teacher as well."
        )
