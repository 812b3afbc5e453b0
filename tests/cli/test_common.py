"""How a command ends."""

import pytest

from keras_deit.cli.common import reporting


def ending(failure):
    @reporting("name")
    def command(arguments):
        if failure:
            raise failure

    return command([])


@pytest.mark.parametrize(
    ("failure", "status", "printed"),
    [
        (None, 0, ""),
        (ValueError("bad input"), 2, "keras-deit name: error: bad input\n"),
        (ImportError("no package"), 2, "keras-deit name: error: no package\n"),
        (OSError("no room"), 2, "keras-deit name: error: no room\n"),
        (KeyboardInterrupt(), 130, "\nInterrupted.\n"),
    ],
)
def test_what_the_user_can_mend_is_printed(failure, status, printed, capsys):
    assert ending(failure) == status
    assert capsys.readouterr().err == printed


def test_a_defect_is_raised():
    with pytest.raises(KeyError):
        ending(KeyError("defect"))
