"""How the process was started."""

import sys

import pytest

from keras_deit.runtime.command import SCRIPTS, command_line_of, is_command

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize(
    ("started", "expected", "line"),
    [
        ("/usr/bin/keras-deit", True, ["keras-deit", "train"]),
        ("C:/venv/Scripts/keras-deit.exe", True, ["keras-deit", "train"]),
        (str(SCRIPTS / "train.py"), True, ["python", str(SCRIPTS / "train.py")]),
        (str(SCRIPTS / "benchmark.py"), True, ["keras-deit", "train"]),
        ("/home/me/train.py", False, ["keras-deit", "train"]),
        ("-c", False, ["keras-deit", "train"]),
        ("", False, ["keras-deit", "train"]),
    ],
)
def test_commands_and_scripts_of_the_package_are_told_from_other_programs(started, expected, line, monkeypatch):
    monkeypatch.setattr(sys, "argv", [started, "--epochs", "1"])
    assert is_command() == expected
    assert command_line_of("train") == line
