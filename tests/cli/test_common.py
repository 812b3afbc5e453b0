"""What the commands share: errors and exit status."""

import warnings

import pytest

from keras_deit.cli.common import in_options, make_parser, plain_warnings, reporting
from keras_deit.cli.options import add_setting_options
from keras_deit.recipes.fields import settings_of
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.training.settings import Settings

pytestmark = pytest.mark.backend_independent


def run_command(failure):
    @reporting
    def command(options):
        if failure:
            raise failure

    return command(make_parser("name", "Description."), None)


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


def test_a_warning_is_printed_once_whatever_other_code_does_to_the_filters(capsys):
    with plain_warnings(make_parser("name", "Description.")):
        for text in ("Similar names.", "Similar names.", "Other names."):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
            warn_caller(text)
    assert capsys.readouterr().err == "Similar names.\nOther names.\n"


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


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--range", "-1,1", "-1,1"),
        ("--range", "-.5,.5", "-.5,.5"),
        ("--range", "-1", "-1"),
        ("--range", "-1e-3", "-1e-3"),
        ("--many", "-2", ["-2"]),
    ],
)
def test_options_take_values_that_begin_with_a_minus(option, value, expected):
    parser = make_parser("name", "Description.")
    parser.add_argument("--range")
    parser.add_argument("--many", nargs="+")
    parser.add_argument("--flag", action="store_true")
    for arguments in ([option, value], [f"{option}={value}"]):
        received = vars(parser.parse_args([*arguments, "--flag"]))
        assert received[option.strip("-")] == expected
        assert received["flag"]


@pytest.fixture(scope="module")
def parser():
    parser = make_parser("train", "Description.")
    add_setting_options(parser)
    return parser


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("`batch_size` must be even. Received: batch_size=7", "--batch-size must be even. Received: --batch-size 7"),
        ("Received: teacher_image_size=(300, 300).", "Received: --teacher-image-size 300."),
        ("Pass `teacher_value_range=(0, 255)`.", "Pass `--teacher-value-range 0,255`."),
        ("Pass teacher_outputs='probabilities'", "Pass --teacher-outputs probabilities"),
        ("clip_norm=None, compare=True, check_images=False", "--clip-norm none, --compare, --no-check-images"),
        ("Pass `batch_size=...`.", "Pass `--batch-size ...`."),
        ("`bach_size` and other=1 are no options", "`bach_size` and other=1 are no options"),
        ("Use `keras_deit.weights.to_timm`.", "Use an --output that ends in .safetensors."),
    ],
)
def test_messages_name_the_options_of_the_command(message, expected, parser):
    assert in_options(message, parser) == expected


def test_the_error_about_every_setting_names_its_option(parser):
    for declared in settings_of(Settings).values():
        with pytest.raises(ValueError, match=f"`{declared.name}` must be") as error:
            declared.check(object())
        message = in_options(str(error.value), parser)
        assert message.startswith(f"{declared.option} must be")
        assert f"Received: {declared.option} " in message
        assert "`" not in message
