"""The configuration file of a run."""

import tomllib

from keras_deit.recipes.fields import NONE
from keras_deit.runtime.files import user_path, write_whole
from keras_deit.runtime.optional import require
from keras_deit.training.settings import OF_RECIPES, SETTINGS, check_names

PATHS = ("data_dir", "validated", "teacher_cache")
NAMES_OR_PATHS = ("dataset", "weights", "teacher", "augmentation_layers")
BUILT_IN = {"dataset": "digits", "weights": "imagenet"}  # names that a folder does not replace


def read_config(path):
    """Reads a configuration file and checks its keys.

    Args:
        path: Path of a TOML file, such as the `config.toml` of a run.

    Returns:
        Dictionary of its values.

    Raises:
        ValueError: If the file is missing, is not TOML or has an unknown key.
    """
    path = user_path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"The configuration {str(path)!r} cannot be read: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"The configuration {str(path)!r} is not valid TOML: {error}") from error
    check_names(values, f"The configuration {str(path)!r} has unknown keys")
    return values


def write_config(settings, path):
    """Writes the settings so that `--config` of the file repeats the run, from any folder: its paths are absolute.

    Args:
        settings: `Settings`.
        path: Path of the file; it appears whole or not at all.
    """
    tomli_w = require("tomli_w", extra="run", purpose="Writing config.toml")
    values = {name: absolute_path(name, getattr(settings, name)) for name in SETTINGS}
    # A missing key means the setting's default, the recipe's value or an architecture's weights: None has to be written.
    values.update((name, NONE) for name in (*OF_RECIPES, "weights") if values[name] is None)
    write_whole(path, tomli_w.dumps({name: value for name, value in values.items() if value is not None}))


def absolute_path(name, value):
    """Makes the value of a setting absolute if it is a path.

    Args:
        name: Name of the setting.
        value: The setting's value.

    Returns:
        The value; an absolute path if the setting is a path, or a name or a path and the path exists.
    """
    if value is None or name not in (*PATHS, *NAMES_OR_PATHS):
        return value
    from keras_deit.models import find_preset

    path = user_path(value).absolute()
    is_name = name in NAMES_OR_PATHS and (value == BUILT_IN.get(name) or find_preset(value) or not path.exists())
    return value if is_name else str(path)
