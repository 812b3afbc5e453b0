"""The line of code that a warning shows."""

import functools
import warnings

import pytest

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
