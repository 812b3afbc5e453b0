"""Every public module, class, function, method and property has a docstring."""

import functools
import importlib
import inspect
import pkgutil
import types

import keras_deit

PROPERTIES = (property, functools.cached_property)
METHODS = (types.FunctionType, classmethod, staticmethod, *PROPERTIES)


def public_modules():
    """Yields the package and all of its modules, without those whose names begin with an underscore."""
    yield keras_deit
    for module in pkgutil.walk_packages(keras_deit.__path__, "keras_deit."):
        if not any(name.startswith("_") for name in module.name.split(".")):
            yield importlib.import_module(module.name)


def public_members(owner):
    """Yields names and values of the members of a module or class that are defined there and public."""
    for name, value in vars(owner).items():
        if not name.startswith("_"):
            yield name, value


def is_documented(value):
    """Whether an object has a docstring of its own; the one that `dataclass` generates does not count."""
    generated = inspect.isclass(value) and (value.__doc__ or "").startswith(f"{value.__name__}(")
    return bool(value.__doc__) and not generated


def undocumented_methods(cls):
    """Yields the names of a class's methods and properties without a docstring, their own or an inherited one."""
    for name, value in public_members(cls):
        attribute = value if isinstance(value, PROPERTIES) else getattr(cls, name)
        if isinstance(value, METHODS) and not inspect.getdoc(attribute):
            yield name


def undocumented(module):
    """Yields the full names of what a module defines without a docstring."""
    if not module.__doc__:
        yield module.__name__
    for name, value in public_members(module):
        if not callable(value) or getattr(value, "__module__", None) != module.__name__:
            continue
        if not is_documented(value):
            yield f"{module.__name__}.{name}"
        if inspect.isclass(value):
            yield from (f"{module.__name__}.{name}.{method}" for method in undocumented_methods(value))


def test_everything_public_has_a_docstring():
    missing = [name for module in public_modules() for name in undocumented(module)]
    assert not missing


SAMPLE = """
import dataclasses

class Bare:
    @property
    def size(self):
        return 0

    def _private(self):
        return 0

class Child(dict):
    "Documented."

    def keys(self):  # inherits its docstring
        return ()

@dataclasses.dataclass
class Row:
    size: int

def function():
    return 0
"""


def test_missing_docstrings_are_found(tmp_path, monkeypatch):
    (tmp_path / "undocumented_sample.py").write_text(SAMPLE)
    monkeypatch.syspath_prepend(tmp_path)
    missing = list(undocumented(importlib.import_module("undocumented_sample")))
    assert missing == [f"undocumented_sample{name}" for name in ("", ".Bare", ".Bare.size", ".Row", ".function")]


def test_every_exported_name_exists():
    for module in public_modules():
        for name in getattr(module, "__all__", ()):
            assert hasattr(module, name), f"{module.__name__}.{name}"
