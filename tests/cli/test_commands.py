"""The commands of `keras-deit`."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import keras_deit
from keras_deit.cli import COMMANDS, main
from keras_deit.cli.common import make_parser
from keras_deit.cli.parsers import PARSERS
from keras_deit.cli.train import add_options as add_train_options
from keras_deit.runtime.child_process import child_environment
from tests.weights.checkpoints import SHAPE

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"

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


def test_an_unknown_command_is_refused(capsys):
    assert main(["trian"]) == 2
    assert "'trian' is not a command. Commands: train, " in capsys.readouterr().err


NEEDED = {"evaluate": ["--weights", "x"], "train": [], "show-data": [], "benchmark data": []}  # arguments of a command


def parsed(command, *arguments):
    """The options of a command as a dictionary."""
    if command == "train":
        parser = make_parser("train", "")
        add_train_options(parser)
    else:
        parser = PARSERS[command]()
    return vars(parser.parse_args([*NEEDED[command], *arguments]))


@pytest.mark.parametrize("command", ["train", "show-data"])
def test_a_value_range_below_zero_needs_no_equals_sign(command):
    for arguments in (["--teacher-value-range", "-1,1"], ["--teacher-value-range=-1,1"]):
        assert parsed(command, *arguments)["teacher_value_range"] == (-1, 1)


@pytest.mark.parametrize("command", NEEDED)
@pytest.mark.parametrize("arguments", [["--nope"], ["--nope", "-1,1"], ["-1x"], ["-x"], ["--batch-size", "8", "-1x"]])
def test_unknown_options_are_refused(command, arguments, capsys):
    with pytest.raises(SystemExit) as ending:
        parsed(command, *arguments)
    assert ending.value.code == 2
    assert "unrecognized arguments: -" in capsys.readouterr().err


@pytest.fixture
def command_without_keras(tmp_path):
    """A function that runs `keras-deit` in a process where Keras and all backends print and then fail to be imported."""
    for name in ("keras", "tensorflow", "jax", "torch"):
        (tmp_path / f"{name}.py").write_text(f"print('{name} imported', flush=True); raise KeyboardInterrupt")
    script = tmp_path / "keras-deit"
    script.write_text("import sys; from keras_deit.cli import main; sys.exit(main())")

    def run(*arguments, script=script):
        environment = child_environment("torch")
        environment["PYTHONPATH"] = f"{tmp_path}:{environment['PYTHONPATH']}"
        command = [sys.executable, str(script), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)

    return run


def test_help_needs_no_keras(command_without_keras):
    of_commands = [[command, "--help"] for command in COMMANDS]
    for arguments in ([], ["--help"], ["--version"], ["benchmark", "data", "--help"], *of_commands):
        ended = command_without_keras(*arguments)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "imported" not in ended.stdout
    assert "--learning-rate" in command_without_keras("train", "--help").stdout
    assert "--learning-rate" in command_without_keras("--help", script=SCRIPTS / "train.py").stdout


ARGUMENTS = {  # what a command needs before it imports Keras
    "train": ["--variant", "deit_ti"],
    "predict": ["x", "--weights", "y"],
    "convert": ["--weights", "x", "--output", "y"],
    "evaluate": ["--weights", "x"],
    "explain": ["x", "--weights", "y"],
    "export": ["x", "--format", "onnx"],
    "validate-data": ["x"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_while_keras_is_imported_is_one_line(command, command_without_keras):
    ended = command_without_keras(command, *ARGUMENTS.get(command, []))
    assert ended.returncode == 130
    assert ended.stderr.strip().startswith("Interrupted")
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "keras imported" in ended.stdout


@pytest.mark.parametrize("command", ["predict", "convert", "evaluate"])
def test_the_commands_load_a_saved_distiller(command, tmp_path):
    keras_deit.Distiller(keras_deit.DeiT(**SHAPE), None).save(tmp_path / "distiller.keras")
    Image.fromarray(np.zeros((32, 32, 3), "uint8")).save(tmp_path / "image.png")
    pixels, labels = np.zeros((5, 32, 32, 3), "uint8"), np.arange(5)
    np.savez(tmp_path / "data.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    given, expected = {
        "predict": (["image.png"], "class 4"),
        "convert": (["--output", "student.safetensors"], "student.safetensors: DeiT"),
        "evaluate": (["--dataset", "data.npz"], "distillation head "),
    }[command]
    script = tmp_path / "keras-deit"  # by its name: a process of a command does not import all of the package
    script.write_text("import sys; from keras_deit.cli import main; sys.exit(main())")
    ended = subprocess.run(
        [sys.executable, script, command, "--weights", "distiller.keras", *given],
        capture_output=True,
        text=True,
        env=child_environment(keras.backend.backend()),
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    assert expected in ended.stdout


def test_a_program_of_the_user_has_all_names(tmp_path):
    program = tmp_path / "train.py"
    program.write_text("import keras_deit as kd; print(kd.DeiT.__name__, kd.train.__name__, kd.__version__)")
    ended = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, env=child_environment(keras.backend.backend())
    )
    assert ended.stdout.split() == ["DeiT", "train", keras_deit.__version__]
