"""A child process finds this package, uses the given backend, and gives its output or its error."""

import os
import pathlib
import subprocess
import sys

import pytest

import keras_deit
from keras_deit.runtime.child_process import child_environment, number_of_python, run_python


def test_the_package_is_found_before_the_users_own_paths(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    paths = child_environment("jax")["PYTHONPATH"].split(os.pathsep)
    assert paths == [str(pathlib.Path(keras_deit.__file__).parents[1]), "somewhere"]


def test_further_variables_are_added_and_the_others_kept(monkeypatch):
    monkeypatch.setenv("SOMETHING", "kept")
    environment = child_environment("torch", EXTRA="1")
    assert (environment["KERAS_BACKEND"], environment["EXTRA"], environment["SOMETHING"]) == ("torch", "1", "kept")


def test_files_of_the_working_directory_are_not_imported_in_place_of_modules(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('the file of the working directory')")
    command = [sys.executable, "-m", "json.tool", "--help"]
    options = dict(cwd=tmp_path, env=child_environment("torch"), capture_output=True, text=True)
    assert subprocess.run(command, **options).returncode == 0
    options["env"].pop("PYTHONSAFEPATH")
    assert "the file of the working directory" in subprocess.run(command, **options).stderr


@pytest.mark.parametrize(("program", "last_line"), [("print('first'); print('last')", "last"), ("pass", "")])
def test_the_last_printed_line_is_returned(program, last_line):
    assert run_python(["-c", program], child_environment("torch")) == last_line


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise ValueError('too small')", "^ValueError: too small$"),
        ("exit(9)", "its process failed with exit status 9"),
        (
            "import os, sys; print('a notice', file=sys.stderr, flush=True); os.kill(os.getpid(), 9)",
            "its process failed with exit status -9",
        ),
    ],
)
def test_a_process_that_fails_is_an_error_with_the_reason(program, reason):
    with pytest.raises(RuntimeError, match=reason):
        run_python(["-c", program], child_environment("torch"))


@pytest.mark.parametrize(("program", "line"), [("print('12 ms')", "'12 ms'"), ("pass", "''")])
def test_a_last_line_that_is_no_number_is_an_error_that_shows_the_line(program, line):
    assert number_of_python(["-c", "print(0.5)"], child_environment("torch")) == 0.5
    with pytest.raises(RuntimeError, match=f"printed no number in the last line: {line}"):
        number_of_python(["-c", program], child_environment("torch"))
