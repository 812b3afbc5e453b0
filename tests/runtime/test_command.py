"""How the process was started."""

import pathlib
import shutil
import subprocess
import sys

import pytest

import keras_deit
from keras_deit.runtime.command import command_line_of, is_command

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"

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


def test_a_script_is_told_from_other_programs_if_the_package_is_installed_elsewhere(tmp_path):
    shutil.copytree(pathlib.Path(keras_deit.__file__).parent, tmp_path / "installed" / "keras_deit")
    environment = {"PATH": "", "PYTHONPATH": str(tmp_path / "installed"), "KERAS_BACKEND": "pytorch"}
    command = [sys.executable, SCRIPTS / "train.py", "--dry-run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr[:18]) == (2, "keras-deit: error:")
