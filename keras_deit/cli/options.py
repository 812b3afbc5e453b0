"""The options of a run's settings, derived from the fields of `Settings`."""

import argparse

from keras_deit.recipes.fields import GROUPS, NONE, settings_of
from keras_deit.training.settings import Settings, default_in_words

_FROM_FILE = ("class_names",)  # the option takes a file that has one name on each line


def add_setting_options(parser, groups=GROUPS, names=None):
    """Adds an option for every setting, under the headings of their groups.

    Args:
        parser: `argparse.ArgumentParser`.
        groups: Names of the groups to add, of `keras_deit.recipes.fields.GROUPS`.
        names: Names of the settings to add; None means all of the groups.

    Returns:
        Dictionary from the names of the groups to argparse's groups, to which a command adds options of its own.
    """
    added = {name: parser.add_argument_group(name) for name in groups}
    for declared in settings_of(Settings).values():
        if declared.group in added and (names is None or declared.name in names):
            _add_option(added[declared.group], declared)
    return added


def _add_option(group, declared):
    options = {"dest": declared.name, "help": _help(declared)}
    if declared.value_type is bool:
        group.add_argument(declared.option, action=argparse.BooleanOptionalAction, **options)
    else:
        group.add_argument(declared.option, type=_reader(declared), metavar=declared.placeholder, **options)


def _help(declared):
    """For example `share of the loss (at least 0; none: 0.5); default: the recipe's`."""
    default = default_in_words(declared.name)
    restriction = None if declared.lists_choices else declared.restriction()
    none = f"{NONE}: {declared.none}" if declared.none and declared.none != default else None
    values = "; ".join(filter(None, (restriction, none)))
    text = f"{declared.meaning} ({values})" if values else declared.meaning
    return f"{text}; default: {default}".replace("%", "%%")  # argparse formats the text


def _reader(declared):
    """Function that parses the option's text, for argparse."""

    def read(text):
        if declared.accepts_none and text == NONE:
            return NONE
        if declared.name in _FROM_FILE:
            return _class_names(text)
        try:
            return _parsed(declared, text)
        except ValueError as error:
            separated = ", separated by commas" if declared.is_tuple else ""
            raise argparse.ArgumentTypeError(
                f"expected {declared.type_in_words()}{separated}. Received: {text!r}"
            ) from error

    return read


def _parsed(declared, text):
    if not declared.is_tuple:
        return declared.value_type(text)
    return tuple(declared.item_type(item.strip()) for item in text.split(",") if item.strip())


def _class_names(file):
    from keras_deit.data.sources.class_names import read_class_names  # not at the top: `--help` needs no Keras

    try:
        return read_class_names(file)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
