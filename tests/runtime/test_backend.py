"""The choice of a backend when Keras's own is not installed."""

import json
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
