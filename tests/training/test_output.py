"""The output directory of a run."""

import json

import pytest

from keras_deit.training import output
from keras_deit.training.settings import resolve

pytest.importorskip("tomli_w", reason="config.toml is written with tomli-w")


@pytest.fixture
def settings():
    return resolve({"variant": "deit_ti", "epochs": 4})


def claim(directory, settings):
    directory.mkdir()
    output.write_settings(settings, directory)


def test_a_fresh_directory_is_claimed_with_its_settings(tmp_path, settings):
    output.check_free(tmp_path / "new")
    claim(tmp_path / "new", settings)
    assert resolve({}, tmp_path / "new" / "config.toml") == settings


def test_a_directory_in_use_is_refused(tmp_path, settings):
    claim(tmp_path / "run", settings)
    with pytest.raises(ValueError, match=r"holds another run\. Add --resume"):
        output.check_free(tmp_path / "run")
    with pytest.raises(ValueError, match="is not empty"):
        output.check_free(tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        output.check_free(tmp_path / "run" / "config.toml")


def test_resuming_takes_the_runs_settings_and_no_others(tmp_path, settings):
    claim(tmp_path / "run", settings)
    assert output.settings_to_resume(tmp_path / "run", {"epochs": 4, "seed": None}) == settings
    with pytest.raises(ValueError, match="epochs=5 instead of 4"):
        output.settings_to_resume(tmp_path / "run", {"epochs": 5})
    with pytest.raises(ValueError, match="no run to resume"):
        output.settings_to_resume(tmp_path, {})
    (tmp_path / "run" / "summary.json").write_text(json.dumps({"complete": True}))
    with pytest.raises(ValueError, match="is complete"):
        output.settings_to_resume(tmp_path / "run", {})


def test_a_run_is_gone_on_with_on_its_own_backend(tmp_path, settings):
    claim(tmp_path / "run", settings)
    state = {"epoch": 1, "folder": "epoch-00001", "backend": "mxnet", "seconds": 1.0, "history": []}
    (tmp_path / "run" / "checkpoint.json").write_text(json.dumps(state))
    with pytest.raises(ValueError, match="KERAS_BACKEND=mxnet"):
        output.settings_to_resume(tmp_path / "run", {})


def test_a_held_directory_is_refused_and_left_as_it_was(tmp_path):
    directory = tmp_path / "run"
    with output.held(directory):
        with pytest.raises(ValueError, match="Another run is at work"), output.held(directory):
            pass
        (directory / "file").touch()
    assert [path.name for path in directory.iterdir()] == ["file"]
    with output.held(tmp_path / "empty"):
        output.check_free(tmp_path / "empty")
    assert not (tmp_path / "empty").exists()


def test_default_directories_are_never_the_same(tmp_path, settings, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = output.default_directory(settings)
    first.mkdir(parents=True)
    assert output.default_directory(settings) != first


def test_the_summary_is_valid_json_whatever_the_numbers(tmp_path):
    output.write_summary({"loss": float("nan"), "exports": [{"difference": float("inf")}], "none": None}, tmp_path)
    written = json.loads((tmp_path / "summary.json").read_text())
    assert written == {"loss": None, "exports": [{"difference": None}], "none": None}


def test_versions_name_the_backend():
    versions = output.versions()
    assert versions["backend"] in versions
    assert versions["keras"].startswith("3.")
