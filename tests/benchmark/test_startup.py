"""Processes that are started and timed."""

import dataclasses
import json
import subprocess
import sys

import keras
import pytest

from keras_deit.benchmark import __main__, startup

BACKEND = keras.backend.backend()


def test_each_process_is_started_once_a_round(make_setting, monkeypatch):
    calls = []

    monkeypatch.setattr(startup, "run_python", lambda *call: calls.append(call))
    seconds = startup.run(make_setting("training"), rounds=2)
    cached = [startup.SECOND_START] if BACKEND == "jax" else []
    assert list(seconds) == ["import keras", "import keras_deit", "keras-deit --help", startup.FIRST_STEP, *cached]
    assert all(len(times) == 2 for times in seconds.values())
    assert len(calls) == 3 * len(seconds)  # the first round is not timed
    assert {env["KERAS_BACKEND"] for _, env in calls} == {BACKEND}
    caches = [env.get("JAX_COMPILATION_CACHE_DIR") for _, env in calls if env["JAX_ENABLE_COMPILATION_CACHE"] == "true"]
    assert len(caches) == 3 * len(cached)
    assert len(set(caches)) == len(cached)


def test_the_help_is_printed_without_keras():
    code = f"{startup._HELP}; assert 'keras' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("usage: keras-deit COMMAND")


def test_the_first_step_is_a_training_step(make_setting, monkeypatch, capsys):
    monkeypatch.setattr(startup, "our_step", lambda setting: lambda: f"loss of {setting.mode}")
    __main__.main("first_step", json.dumps(dataclasses.asdict(make_setting("training"))))
    assert capsys.readouterr().out == "loss of training\n"


def test_a_process_that_fails_is_an_error(make_setting, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("ImportError: no backend")

    monkeypatch.setattr(startup, "run_python", fail)
    with pytest.raises(RuntimeError, match="Starting failed: ImportError: no backend"):
        startup.run(make_setting("training"), rounds=1)
