"""The line of code that a warning shows."""

import functools
import pathlib
import re
import warnings

import pytest

import keras_deit
from keras_deit.runtime.caller_warning import warn_caller

pytestmark = pytest.mark.backend_independent
WITHIN_A_PACKAGE = "def call(function, *arguments):\n    return function(*arguments)"


@pytest.mark.parametrize("modules", [(), ("keras_deit.training.train", "contextlib", "keras.src.trainers.trainer")])
def test_a_warning_shows_the_line_of_the_code_outside_of_the_packages(modules):
    function = warn_caller
    for module in modules:
        namespace = {"__name__": module}
        exec(WITHIN_A_PACKAGE, namespace)
        function = functools.partial(namespace["call"], function)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function("text")
    assert [(str(warning.message), warning.filename) for warning in caught] == [("text", __file__)]


def test_no_module_counts_the_frames_up_to_the_user():
    """Fixed numbers are right for one way of calling only; 1 shows the line of the package itself, once for all callers."""
    package = pathlib.Path(keras_deit.__file__).parent
    fixed = {
        f"{file.relative_to(package)}: {level}"
        for file in package.rglob("*.py")
        for level in re.findall(r"stacklevel=(\w+)", file.read_text(encoding="utf-8"))
    }
    assert {one for one in fixed if not one.endswith(": 1")} == {"runtime/caller_warning.py: level"}
