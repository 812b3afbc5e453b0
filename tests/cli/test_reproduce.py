"""`scripts/reproduce.py`: its options, and its exit status."""

import pathlib
import subprocess
import sys

import pytest

from keras_deit.cli import reproduce
from keras_deit.reproduction import study
from keras_deit.reproduction.workers import WorkerError

pytestmark = pytest.mark.backend_independent

SCRIPT = pathlib.Path(reproduce.__file__).parents[2] / "scripts" / "reproduce.py"


def test_the_help_is_printed_without_keras():
    command = [sys.executable, "-X", "importtime", str(SCRIPT), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--quick" in done.stdout
    assert "| keras\n" not in done.stderr


def test_the_options_are_passed_on(monkeypatch, capsys):
    given = []
    monkeypatch.setattr(study, "reproduce", lambda *args, **kwargs: given.append((args, kwargs)) or ["a.md"])
    options = ["--dataset", "digits", "x.npz", "--quick", "--output-dir", "out", "--report-dir", "docs"]
    assert reproduce.main([*options, "--num-workers", "2"]) == 0
    assert given == [((["digits", "x.npz"], True, "out", "docs"), {"num_workers": 2})]
    assert capsys.readouterr().out == "Report: a.md\n"


@pytest.mark.parametrize(("error", "status"), [(ValueError("a wrong value"), 2), (WorkerError("a training failed"), 1)])
def test_errors_are_printed(monkeypatch, capsys, error, status):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(study, "reproduce", fail)
    assert reproduce.main([]) == status
    assert f"reproduce.py: error: {error}" in capsys.readouterr().err


def test_no_worker_is_refused(capsys):
    assert reproduce.main(["--num-workers", "0"]) == 2
    assert "--num-workers" in capsys.readouterr().err
