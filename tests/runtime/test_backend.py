"""The choice of a backend when Keras's own is not installed."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import pytest

from keras_deit.runtime import backend as _backend


@pytest.fixture
def nothing_imported(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


def only(*installed):
    return lambda name: object() if name in installed else None


@pytest.mark.parametrize(
    ("installed", "chosen"), [(("jax",), "jax"), (("torch", "jax"), "jax"), (("tensorflow", "jax"), None)]
)
def test_an_installed_backend_is_chosen_when_the_configured_one_is_not_installed(
    nothing_imported, monkeypatch, installed, chosen
):
    monkeypatch.setattr(_backend.importlib.util, "find_spec", only(*installed))
    _backend.select_backend()
    assert _backend.os.environ.get("KERAS_BACKEND") == chosen
    monkeypatch.delenv("KERAS_BACKEND", raising=False)


def test_the_configuration_file_is_respected(nothing_imported, monkeypatch):
    (nothing_imported / "keras.json").write_text(json.dumps({"backend": "torch"}))
    monkeypatch.setattr(_backend.importlib.util, "find_spec", only("torch", "tensorflow"))
    _backend.select_backend()
    assert "KERAS_BACKEND" not in _backend.os.environ


def test_an_explicit_choice_is_never_overruled(nothing_imported, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setattr(_backend.importlib.util, "find_spec", only("jax"))
    _backend.select_backend()
    assert _backend.os.environ["KERAS_BACKEND"] == "torch"


def test_nothing_is_chosen_after_keras_is_imported(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr(_backend.importlib.util, "find_spec", only("jax"))
    assert keras is not None
    _backend.select_backend()
    assert "KERAS_BACKEND" not in _backend.os.environ


@pytest.mark.parametrize(
    ("name", "advice"), [("pytorch", "KERAS_BACKEND=torch"), ("numpy", "KERAS_BACKEND to one of them")]
)
def test_a_backend_that_is_not_supported_is_named(nothing_imported, monkeypatch, name, advice):
    monkeypatch.setenv("KERAS_BACKEND", name)
    with pytest.raises(ImportError, match=f"tensorflow, jax, torch. Received: the backend '{name}'.*{advice}"):
        _backend.select_backend()
    monkeypatch.delenv("KERAS_BACKEND")
    (nothing_imported / "keras.json").write_text(json.dumps({"backend": name}))
    with pytest.raises(ImportError, match=f"Received: the backend '{name}'"):
        _backend.select_backend()


def test_a_command_names_a_wrong_backend_in_one_line():
    script = pathlib.Path(__file__).parents[2] / "scripts" / "train.py"
    environment = {**os.environ, "KERAS_BACKEND": "pytorch"}
    done = subprocess.run([sys.executable, script, "--dry-run"], env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("keras-deit: error: keras_deit runs on the backends tensorflow, jax, torch.")
    assert len(done.stderr.splitlines()) == 1
