"""Errors while reading files from elsewhere."""

import pytest

from keras_deit.runtime.foreign_files import cause, excerpt, reading

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize(
    "error", [TypeError("a"), AttributeError("b"), KeyError("c"), IndexError("d"), RecursionError("e")]
)
def test_any_error_becomes_a_value_error_with_the_files_name(error):
    with (
        pytest.raises(ValueError, match="The file 'some.pth' is damaged.*" + type(error).__name__),
        reading("some.pth"),
    ):
        raise error


def test_a_message_that_names_the_file_and_missing_packages_pass():
    for error in (ValueError("some.pth is odd"), ImportError("no torch"), PermissionError("no access")):
        with pytest.raises(type(error), match=str(error)), reading("some.pth"):
            raise error


@pytest.mark.parametrize(
    "advice",
    ["set weights_only=False", "pass `safe_mode=False`", "call keras.config.enable_unsafe_deserialization()"],
)
def test_advice_to_load_unsafely_is_never_passed_on(advice):
    error = ValueError(f"The file was refused. If you trust it, {advice}. It holds\n a lambda.")
    assert excerpt(error) == "The file was refused. It holds a lambda"
    assert cause(error) is None
    assert cause(ValueError("The file was refused.")) is not None


def test_a_long_message_is_cut_after_a_word():
    text = excerpt(ValueError("word " * 200))
    assert len(text) <= 304
    assert text.endswith("word ...")
