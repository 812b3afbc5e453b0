"""Extension of Sphinx: chooses the members of the API reference, and warns of public names that the reference does not have.

The extension also turns the code blocks of docstrings, which have Markdown's fences, into those of reStructuredText.

The build of the site treats a warning as an error.
"""

import inspect
import re

from sphinx.util import logging

import keras_deit
from tests.test_public_surface import METHODS, public_members

FENCE = re.compile(r"(?P<indent> *)```(?P<language>\w*)")
INTERNAL = {  # methods and properties that Keras or other modules of the package call, and that users do not
    *(
        "build",
        "call_traced",
        "compile_from_config",
        "compute_output_shape",
        "compute_output_spec",
        "get_compile_config",
    ),
    *("input_spec", "load_own_variables", "save_own_variables", "update_step"),
    *(
        "backbone_config",
        "build_with_token_merging",
        "check_num_classes",
        "iter_blocks",
        "kept_settings",
        "other_setting",
    ),
    *("record_config",),
    *("apply", "can_update_lists", "decays", "keras_variable", "moment_lists", "moments", "tensors", "update_lists"),
    *("update_moments", "uses_weight_decay", "variable_index"),
    *(
        "add_teacher_outputs",
        "batch_divisor",
        "check_compile_options",
        "dataset_batch_size",
        "epoch_logs",
        "label_shape",
    ),
    *("num_replicas", "pad_batches", "run_inference"),
    *("check", "from_bare_model", "from_checkpoint", "match_classes"),
    *("crops_alone", "draw", "draw_mixing", "mixes", "policies"),
    *("content_digest", "evenly_spaced", "spaced_indices"),
}


def members_of_module(module):
    """Returns the public names of a module: those of `__all__`, or else what the module defines."""
    defined = [name for name, value in public_members(module) if getattr(value, "__module__", None) == module.__name__]
    return getattr(module, "__all__", defined)


def members_of_class(cls):
    """Yields the methods and properties of this package that a class has and that are described where they are defined."""
    for name in dir(cls):
        value = inspect.getattr_static(cls, name)
        is_shown = not name.startswith("_") and name not in INTERNAL and not is_foreign(value)
        if is_shown and isinstance(value, METHODS) and value.__doc__:
            yield name


def is_foreign(member):
    """Whether another package defines a method or property. Keras describes what a class inherits from Keras."""
    function = getattr(member, "fget", None) or getattr(member, "func", member)
    return not (getattr(function, "__module__", None) or "").startswith("keras_deit")


def public_values(owner=keras_deit):
    """Yields the full name and the value of each member of the package and of its public modules."""
    for name in members_of_module(owner):
        value = getattr(owner, name)
        if inspect.ismodule(value):
            yield from public_values(value)
        else:
            yield f"{owner.__name__}.{name}", value


def public_names():
    """Yields the full names of what users import: the names of the package, of its public modules and of their classes."""
    for name, value in public_values():
        yield name
        if inspect.isclass(value):
            yield from (f"{name}.{method}" for method in members_of_class(value))


def outdated_internal_names():
    """Returns the names in `INTERNAL` that no public class has."""
    return INTERNAL.difference(*(dir(value) for _, value in public_values() if inspect.isclass(value)))


def leave_out(app, what, name, member, skip, options):
    """Leaves out of a class what other packages define and what users do not call."""
    return skip or (what == "class" and (name in INTERNAL or is_foreign(member)))


def show_fenced_code(app, what, name, value, options, lines):
    """Turns code between Markdown's fences into code blocks of reStructuredText, in place."""
    shown, is_code = [], False
    for line in lines:
        fence = FENCE.fullmatch(line)
        if fence:
            is_code = not is_code
            shown += [f"{fence['indent']}.. code-block:: {fence['language']}", ""] if is_code else [""]
        else:
            shown.append(f"    {line}" if is_code and line else line)
    lines[:] = shown


def show_constructor(app, what, name, value, options, signature, annotation):
    """Returns the arguments of the constructor of a class. Sphinx takes those of Keras's `__new__`."""
    if what != "class":
        return None
    _, *arguments = inspect.signature(value.__init__).parameters.values()
    return str(inspect.Signature(arguments)), None


def warn_of_missing_names(app, environment):
    """Warns of each public name that no page of the reference describes, and of names in `INTERNAL` that no class has."""
    described = environment.get_domain("py").objects
    for name in public_names():
        if name not in described:
            logging.getLogger(__name__).warning("%s is public, but missing from the API reference in docs/api", name)
    for name in outdated_internal_names():
        logging.getLogger(__name__).warning(
            "%s of INTERNAL in docs/check_reference.py is not a member of a class", name
        )


def setup(app):
    """Connects what autodoc asks for, and the check, which runs when all pages have been read."""
    app.connect("autodoc-skip-member", leave_out)
    app.connect(
        "autodoc-process-docstring", show_fenced_code, priority=400
    )  # before Napoleon, which indents the sections
    app.connect("autodoc-process-signature", show_constructor)
    app.connect("env-check-consistency", warn_of_missing_names)
    return {"parallel_read_safe": True}
