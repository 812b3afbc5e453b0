"""Other names for the arguments that an error message speaks of."""

import pytest

from keras_deit.runtime.argument_names import replace_arguments

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`a` must be positive.", "A must be positive."),
        ("Received: a=0.5.", "Received: A(0.5)."),
        ("Received: a=0.5", "Received: A(0.5)"),
        (
            "Received: a='x, y', a=(1, 2), a=[1, 2]; a=None: a=1e-3",
            "Received: A('x, y'), A((1, 2)), A([1, 2]); A(None): A(1e-3)",
        ),
        ("Pass `a=(3, 4)`.", "Pass `A((3, 4))`."),
        ('Pass (a="x") or b=1, `b` and `a.b`', 'Pass (A("x")) or b=1, `b` and `a.b`'),
        ("The folder '/data/a=train/cat' of a='x'", "The folder '/data/a=train/cat' of A('x')"),
        ("The teacher's 'my a=1/x' and \"a=2\": a=3", "The teacher's 'my a=1/x' and \"a=2\": A(3)"),
        (r"/d/a=1/x.jpg, D:\a=1\x.jpg, /d/b-a=1: a=2", r"/d/a=1/x.jpg, D:\a=1\x.jpg, /d/b-a=1: A(2)"),
        ("no arguments; aa=1 and a = 1", "no arguments; aa=1 and a = 1"),
    ],
)
def test_arguments_are_replaced_and_other_text_is_kept(text, expected):
    def replace(name, value):
        if name != "a":
            return None
        return "A" if value is None else f"A({value})"

    assert replace_arguments(text, replace) == expected
