"""How a setting of a run is declared.

Each setting is one field of a dataclass, made by `setting`. The field's annotation is the setting's type; `setting` adds its
meaning, the values that it accepts and its heading. From this one declaration follow the checks of values, the options of
the command line, the attributes in the classes' docstrings and the tables of `docs/settings.md`.
"""

import dataclasses
import functools
import inspect
import math
import numbers
import re
import textwrap
import types
import typing
from collections.abc import Callable

NONE = "none"  # stands for None on the command line and in TOML, which has no null
LINE_LENGTH = 120

# Headings of the settings, in the order of `keras-deit train --help`.
MODEL, DATA, AUGMENTATION, TEACHER, TRAINING, RUN = GROUPS = (
    "model",
    "data",
    "augmentation",
    "teacher and distillation",
    "training",
    "run",
)


@dataclasses.dataclass(frozen=True)
class Rule:
    """A condition on the values of a setting.

    Attributes:
        words: The condition, as a phrase that completes "the value must be ...".
        allows: Function that takes a value other than None and returns whether it meets the condition.
    """

    words: str
    allows: Callable


POSITIVE = Rule("positive", lambda value: value > 0)
NOT_NEGATIVE = Rule("at least 0", lambda value: value >= 0)
FRACTION = Rule("at least 0 and at most 1", lambda value: 0 <= value <= 1)
FRACTION_BELOW_1 = Rule("at least 0 and less than 1", lambda value: 0 <= value < 1)
FRACTION_ABOVE_0 = Rule("more than 0 and at most 1", lambda value: 0 < value <= 1)
INTERVAL = Rule("two numbers, the smaller one first", lambda ends: ends[0] < ends[1])
FRACTIONS = Rule("two numbers above 0 and up to 1, the smaller one first", lambda ends: 0 < ends[0] <= ends[1] <= 1)
CHANNELS = Rule("one number, or one for each channel", lambda values: len(values) in (1, 3))
POSITIVE_CHANNELS = Rule(
    "positive: one number, or one for each channel", lambda values: CHANNELS.allows(values) and min(values) > 0
)


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting: a dataclass's field and what `setting` adds to it.

    Attributes:
        name: The field's name.
        type: The field's annotation: `str`, `int`, `float`, `bool`, `tuple[float, ...]`, `tuple[float, float]` or
            `tuple[str, ...]`; with `| None` if None is a value.
        default: The field's default; `dataclasses.MISSING` if it has none.
        meaning: What the setting determines. A phrase that begins with a small letter and has no full stop.
        group: One of `GROUPS`; None for a field of a recipe that is no setting of a run.
        rule: `Rule` of its values; None means every value of the type.
        choices: Tuple of the accepted values, or of the accepted items of a tuple; None means every value of the type.
        metavar: Name of the value in `--help`; None means the choices, or N, X or NAME by the type.
        none: What None means, as a phrase; None for a setting that does not accept None.
        first: Whether the setting precedes those of its group that are declared before it.
    """

    name: str
    type: object
    default: object
    meaning: str
    group: str | None
    rule: Rule | None
    choices: tuple | None
    metavar: str | None
    none: str | None
    first: bool

    @property
    def option(self):
        """The option of the command line, such as `--batch-size`."""
        return "--" + self.name.replace("_", "-")

    @property
    def placeholder(self):
        """What stands for the value in `--batch-size N`; empty for a setting that is true or false."""
        if self.value_type is bool:
            return ""
        if self.lists_choices:
            return f"{{{','.join(self.choices)}}}"
        return self.metavar or {int: "N", float: "X", str: "NAME"}[self.item_type]

    @property
    def lists_choices(self):
        """Whether the placeholder lists the choices, as in `--schedule {epochs,steps}`."""
        return self.choices is not None and self.metavar is None

    @property
    def accepts_none(self):
        """Whether the setting accepts None."""
        return isinstance(self.type, types.UnionType)

    @property
    def value_type(self):
        """The type without `| None`."""
        return typing.get_args(self.type)[0] if self.accepts_none else self.type

    @property
    def is_tuple(self):
        """Whether the value is a tuple."""
        return typing.get_origin(self.value_type) is tuple

    @property
    def item_type(self):
        """The type of a tuple's items; of another value, its own type."""
        return typing.get_args(self.value_type)[0] if self.is_tuple else self.value_type

    @property
    def length(self):
        """Number of items of the tuple; None means any number."""
        items = typing.get_args(self.value_type)
        return None if Ellipsis in items else len(items)

    def check(self, value):
        """Checks a value's type, then the choices, then the rule.

        Args:
            value: The value.

        Raises:
            ValueError: If the setting does not accept the value.
        """
        if value is None and self.accepts_none:
            return
        received = f"Received: {self.name}={value!r}"
        if not self._is_of_type(value):
            raise ValueError(f"`{self.name}` must be {self.type_in_words()}. {received}")
        if self.choices is not None and not set(value if self.is_tuple else [value]) <= set(self.choices):
            expected = "only contain" if self.is_tuple else "be one of"
            raise ValueError(f"`{self.name}` must {expected} {_listed(self.choices)}. {received}")
        if self.rule is not None and not self.rule.allows(value):
            raise ValueError(f"`{self.name}` must be {self.rule.words}. {received}")

    def type_in_words(self):
        """The type as a phrase, such as `"an integer"` or `"a list of two numbers"`."""
        if not self.is_tuple:
            return _TYPES[self.value_type][1]
        count = {None: "", 2: "two "}[self.length]
        return f"a list of {count}{_PLURALS[self.item_type]}"

    def restriction(self):
        """The choices or the rule as a phrase, such as `"one of soft, hard"`; None if there is neither."""
        if self.choices is not None:
            return f"{'of' if self.is_tuple else 'one of'} {_listed(self.choices)}"
        return self.rule.words if self.rule else None

    def _is_of_type(self, value):
        if not self.is_tuple:
            return _is_a(value, self.item_type)
        return (
            isinstance(value, (tuple, list))
            and len(value) == (self.length or len(value))
            and all(_is_a(item, self.item_type) for item in value)
        )


# The classes whose instances are values of a type, and the type in words. Integers are numbers; NumPy's count as well. TOML
# and Python's `float` read "nan" and "inf", which no setting accepts.
_TYPES = {
    int: (numbers.Integral, "an integer"),
    float: (numbers.Real, "a finite number"),
    str: (str, "a string"),
    bool: (bool, "true or false"),
}
_PLURALS = {float: "finite numbers", str: "strings"}


def setting(
    meaning,
    *,
    group=None,
    default=dataclasses.MISSING,
    rule=None,
    choices=None,
    metavar=None,
    none=None,
    first=False,
):
    """Declares a setting as a field of a dataclass.

    Args:
        meaning, group, rule, choices, metavar, none, first: See `Setting`.
        default: Default value; without one the field is required.

    Returns:
        A `dataclasses.Field`.

    Example:

    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Example:
    ...     epochs: int = setting("number of epochs", default=3, rule=POSITIVE)
    >>> settings_of(Example)["epochs"].check(0)
    Traceback (most recent call last):
    ValueError: `epochs` must be positive. Received: epochs=0
    """
    declared = dict(meaning=meaning, group=group, rule=rule, choices=choices, metavar=metavar, none=none, first=first)
    return dataclasses.field(default=default, metadata=declared)


@functools.cache
def settings_of(cls):
    """The settings that are declared in a class and its bases.

    Args:
        cls: Dataclass.

    Returns:
        Dictionary from names to `Setting`s, group by group in the order of `GROUPS`.
    """
    settings = [
        Setting(name=field.name, type=field.type, default=field.default, **field.metadata)
        for field in dataclasses.fields(cls)
        if field.metadata
    ]
    order = (None, *GROUPS)
    settings.sort(key=lambda setting: (order.index(setting.group), not setting.first))
    return {setting.name: setting for setting in settings}


def check_settings(instance):
    """Checks every setting of a dataclass's instance.

    Args:
        instance: The instance.

    Raises:
        ValueError: If a setting does not accept its value.
    """
    for name, declared in settings_of(type(instance)).items():
        declared.check(getattr(instance, name))


def describe_settings(cls):
    """Class decorator that lists the settings in the class's docstring, in a section `Attributes`.

    The section is put before the sections `Raises`, `Example` and `Reference`.
    """
    if cls.__doc__:  # None with `python -OO`
        text, *sections = re.split(r"\n\n(?=(?:Raises|Example|Reference):)", inspect.cleandoc(cls.__doc__), maxsplit=1)
        entries = "\n".join(map(_attribute, settings_of(cls).values()))
        cls.__doc__ = "\n\n".join([text, f"Attributes:\n{entries}", *sections])
    return cls


def _attribute(declared):
    sentences = [declared.meaning, declared.restriction(), declared.none and f"None: {declared.none}"]
    text = " ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences if sentence)
    indents = dict(initial_indent=" " * 4, subsequent_indent=" " * 8)
    return textwrap.fill(f"{declared.name}: {text}", LINE_LENGTH, break_on_hyphens=False, **indents)


def _is_a(value, kind):
    if isinstance(value, bool) and kind is not bool:  # Python counts True as an integer
        return False
    return isinstance(value, _TYPES[kind][0]) and (kind is not float or math.isfinite(value))


def _listed(choices):
    return ", ".join(choices)
