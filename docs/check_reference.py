"""Extension of Sphinx: chooses the members of the API reference, and warns of public names that the reference does not have.

The build of the site treats a warning as an error.
"""

import inspect

from sphinx.util import logging

import keras_deit
from tests.test_public_surface import METHODS, public_members


def members_of_module(module):
    """Returns the public names of a module: those of `__all__`, or else what the module defines."""
    defined = [name for name, value in public_members(module) if getattr(value, "__module__", None) == module.__name__]
    return getattr(module, "__all__", defined)


def members_of_class(cls):
    """Yields the methods and properties of this package that a class has and that are described where they are defined."""
    for name in dir(cls):
        value = inspect.getattr_static(cls, name)
        if not name.startswith("_") and isinstance(value, METHODS) and not is_foreign(value) and value.__doc__:
            yield name


def is_foreign(member):
    """Whether another package defines a method or property. Keras describes what a class inherits from Keras."""
    function = getattr(member, "fget", None) or getattr(member, "func", member)
    return not (getattr(function, "__module__", None) or "").startswith("keras_deit")


def public_names(owner=keras_deit):
    """Yields the full names of what users import: the names of the package, of its public modules and of their classes."""
    prefix = owner.__name__
    for name in members_of_module(owner):
        value = getattr(owner, name)
        if inspect.ismodule(value):
            yield from public_names(value)
            continue
        yield f"{prefix}.{name}"
        if inspect.isclass(value):
            yield from (f"{prefix}.{name}.{method}" for method in members_of_class(value))


def leave_out_foreign(app, what, name, member, skip, options):
    """Leaves out of a class what other packages define."""
    return skip or (what == "class" and is_foreign(member))


def show_constructor(app, what, name, value, options, signature, annotation):
    """Returns the arguments of the constructor of a class. Sphinx takes those of Keras's `__new__`."""
    if what != "class":
        return None
    _, *arguments = inspect.signature(value.__init__).parameters.values()
    return str(inspect.Signature(arguments)), None


def warn_of_missing_names(app, environment):
    """Warns of each public name that no page of the reference describes."""
    described = environment.get_domain("py").objects
    for name in public_names():
        if name not in described:
            logging.getLogger(__name__).warning("%s is public, but missing from the API reference in docs/api", name)


def setup(app):
    """Connects what autodoc asks for, and the check, which runs when all pages have been read."""
    app.connect("autodoc-skip-member", leave_out_foreign)
    app.connect("autodoc-process-signature", show_constructor)
    app.connect("env-check-consistency", warn_of_missing_names)
    return {"parallel_read_safe": True}
