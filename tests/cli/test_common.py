"""What the commands share: errors and exit status."""

import pytest

from keras_deit.cli.common import make_parser, reporting

pytestmark = pytest.mark.backend_independent


def run_command(failure):
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
        (OSError("no space left"), 2, "keras-deit name: error: no space left\n"),
        (KeyboardInterrupt(), 130, "\nInterrupted.\n"),
    ],
)
def test_errors_that_a_user_can_correct_are_printed(failure, status, printed, capsys):
    assert run_command(failure) == status
    assert capsys.readouterr().err == printed


def test_a_defect_of_the_package_is_raised():
    with pytest.raises(KeyError):
        run_command(KeyError("defect"))


def test_options_cannot_be_abbreviated(capsys):
    parser = make_parser("name", "Description.")
    parser.add_argument("--output")
    assert parser.parse_args(["--output", "x"]).output == "x"
    with pytest.raises(SystemExit):
        parser.parse_args(["--out", "x"])
    assert "usage: keras-deit name" in capsys.readouterr().err
