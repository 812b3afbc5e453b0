"""How a setting is declared and checked."""

import dataclasses
import re

import numpy as np
import pytest

from keras_deit.recipes.fields import (
    DATA,
    FRACTION,
    MODEL,
    POSITIVE,
    TRAINING,
    check_settings,
    describe_settings,
    setting,
    settings_of,
)


@describe_settings
@dataclasses.dataclass(frozen=True, kw_only=True)
class Base:
    """Settings of an example.

    Raises:
        ValueError: Sometimes.
    """

    steps: int = setting("number of steps", group=TRAINING, default=1, rule=POSITIVE)
    share: float | None = setting("share of the loss", group=TRAINING, default=None, rule=FRACTION, none="no loss")
    kind: str = setting("kind of the images", group=DATA, default="a", choices=("a", "b"))


@describe_settings
@dataclasses.dataclass(frozen=True, kw_only=True)
class Example(Base):
    """More of them."""

    ends: tuple[float, float] | None = setting("both ends", group=MODEL, default=None, none="no ends")
    kinds: tuple[str, ...] = setting("kinds", group=DATA, default=(), choices=("a", "b"), metavar="KINDS")
    values: tuple[float, ...] = setting("numbers", group=DATA, default=())
    check: bool = setting("check them", group=TRAINING, default=True, first=True)
    plain: int = 3


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("steps", [1, np.int64(2)]),
        ("share", [None, 0, 0.5, np.float32(0.5)]),
        ("kind", ["a"]),
        ("ends", [None, (0.0, 1), [3, 2]]),
        ("kinds", [(), ("a", "b"), ["b"]]),
        ("values", [(), (1, 2.5, 3)]),
        ("check", [True, False]),
    ],
)
def test_values_of_the_type_are_accepted(name, accepted):
    for value in accepted:
        settings_of(Example)[name].check(value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("steps", 1.0, "`steps` must be an integer. Received: steps=1.0"),
        ("steps", "1", "`steps` must be an integer. Received: steps='1'"),
        ("steps", True, "`steps` must be an integer"),
        ("steps", None, "`steps` must be an integer. Received: steps=None"),
        ("steps", 0, "`steps` must be positive. Received: steps=0"),
        ("share", "half", "`share` must be a finite number"),
        ("share", float("inf"), "`share` must be a finite number. Received: share=inf"),
        ("share", 1.5, "`share` must be at least 0 and at most 1. Received: share=1.5"),
        ("share", float("nan"), "`share` must be a finite number. Received: share=nan"),
        ("kind", 3, "`kind` must be a string"),
        ("kind", "c", "`kind` must be one of a, b. Received: kind='c'"),
        ("ends", (1.0,), "`ends` must be a list of two finite numbers. Received: ends=(1.0,)"),
        ("ends", "01", "`ends` must be a list of two finite numbers"),
        ("kinds", "a", "`kinds` must be a list of strings. Received: kinds='a'"),
        ("kinds", ("a", "c"), "`kinds` must only contain a, b. Received: kinds=('a', 'c')"),
        ("values", (1, "2"), "`values` must be a list of finite numbers"),
        ("values", (1, float("nan")), "`values` must be a list of finite numbers"),
        ("check", 1, "`check` must be true or false. Received: check=1"),
    ],
)
def test_other_values_are_refused(name, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        settings_of(Example)[name].check(value)
    with pytest.raises(ValueError, match=f"`{name}` must"):
        check_settings(Example(**{name: value}))


def test_settings_are_listed_by_group_inherited_ones_first():
    assert list(settings_of(Example)) == ["ends", "kind", "kinds", "values", "check", "steps", "share"]


def test_the_docstring_lists_the_settings_before_the_later_sections():
    lines = Base.__doc__.splitlines()
    assert lines[0] == "Settings of an example."
    assert lines[2:6] == [
        "Attributes:",
        "    kind: Kind of the images. One of a, b.",
        "    steps: Number of steps. Positive.",
        "    share: Share of the loss. At least 0 and at most 1. None: no loss.",
    ]
    assert lines[7:9] == ["Raises:", "    ValueError: Sometimes."]
    assert Example.__doc__.count("Attributes:") == 1
    assert "    kinds: Kinds. Of a, b." in Example.__doc__.splitlines()


@pytest.mark.parametrize(
    ("name", "option", "placeholder"),
    [("kind", "--kind", "{a,b}"), ("kinds", "--kinds", "KINDS"), ("steps", "--steps", "N"), ("share", "--share", "X")],
)
def test_options_have_placeholders(name, option, placeholder):
    declared = settings_of(Example)[name]
    assert (declared.option, declared.placeholder) == (option, placeholder)
