"""The commands of `keras-deit`."""

import pytest

import keras_deit
from keras_deit.cli import COMMANDS, PLANNED, main

pytestmark = pytest.mark.backend_independent


def test_the_help_lists_every_command(capsys):
    assert main([]) == main(["--help"]) == 0
    printed = capsys.readouterr().out
    for command in COMMANDS:
        assert f"\n  {command} " in printed


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"keras-deit {keras_deit.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as ending:
        main([command, "--help"])
    assert ending.value.code == 0
    assert f"usage: keras-deit {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", PLANNED)
def test_a_planned_command_is_announced(command, capsys):
    assert main([command, "cat.jpg"]) == 2
    assert "planned for a later version" in capsys.readouterr().err


def test_an_unknown_command_is_refused(capsys):
    assert main(["trian"]) == 2
    assert "'trian' is not a command. Commands: train, " in capsys.readouterr().err
