"""The output directory of a run."""

import dataclasses
import json

import pytest

from keras_deit.training import run_directory
from keras_deit.training.checkpoint import Checkpoints
from keras_deit.training.resolve import resolve

pytest.importorskip("tomli_w", reason="config.toml is written with tomli-w")


@pytest.fixture
def settings():
    return resolve({"variant": "deit_ti", "epochs": 4})


def make_run(directory, settings):
    directory.mkdir()
    run_directory.write_settings(settings, directory)


def test_a_new_directory_receives_the_settings_of_the_run(tmp_path, settings):
    run_directory.check_free(tmp_path / "new")
    make_run(tmp_path / "new", settings)
    assert resolve({}, tmp_path / "new" / "config.toml") == settings


def test_a_directory_in_use_is_refused(tmp_path, settings):
    make_run(tmp_path / "run", settings)
    with pytest.raises(ValueError, match=r"holds another run\. Add --resume"):
        run_directory.check_free(tmp_path / "run")
    with pytest.raises(ValueError, match="is not empty"):
        run_directory.check_free(tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        run_directory.check_free(tmp_path / "run" / "config.toml")


def test_a_process_that_was_killed_while_it_began_the_run_leaves_the_directory_free(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.toml-0123456789abcdef-x_y-12").mkdir()
    run_directory.check_free(tmp_path)


def test_a_run_is_resumed_with_its_own_settings_alone(tmp_path, settings):
    make_run(tmp_path / "run", settings)
    assert run_directory.settings_to_resume(tmp_path / "run", {"epochs": 4, "seed": None}) == settings
    with pytest.raises(
        ValueError, match="differ: epochs=4 there, 5 here; seed=0 there, 1 here.*more epochs, let the run"
    ):
        run_directory.settings_to_resume(tmp_path / "run", {"epochs": 5, "seed": 1, "variant": "deit_ti"})
    resumed = run_directory.settings_to_resume(tmp_path / "run", {"checkpoint_every": "10min"})
    assert resumed == dataclasses.replace(settings, checkpoint_every="10min")
    with pytest.raises(ValueError, match="no run to resume"):
        run_directory.settings_to_resume(tmp_path, {})
    (tmp_path / "run" / "summary.json").write_text(json.dumps({"complete": True}))
    with pytest.raises(
        ValueError, match="is complete.*begin a new run from its weights: --config .*config.toml --weights "
    ):
        run_directory.settings_to_resume(tmp_path / "run", {})


def test_the_teacher_cache_of_a_resumed_run_may_be_another_directory(tmp_path):
    """If images have changed deliberately, the outputs that are stored cannot be used any more."""
    make_run(tmp_path / "run", resolve({"variant": "deit_ti", "teacher_cache": "old"}))
    assert run_directory.settings_to_resume(tmp_path / "run", {"teacher_cache": "new"}).teacher_cache == "new"
    with pytest.raises(ValueError, match="differ: teacher_cache='.*old' there, None here"):
        run_directory.settings_to_resume(tmp_path / "run", {"teacher_cache": "none"})


def test_a_run_is_resumed_on_its_own_backend(tmp_path, settings):
    make_run(tmp_path / "run", settings)
    Checkpoints(tmp_path / "run").write(1, {}, {"backend": "mxnet"})
    with pytest.raises(ValueError, match="KERAS_BACKEND=mxnet"):
        run_directory.settings_to_resume(tmp_path / "run", {})


def test_a_locked_directory_is_refused_and_left_unchanged(tmp_path):
    directory = tmp_path / "run"
    with run_directory.locked(directory):
        with pytest.raises(ValueError, match="Another process trains"), run_directory.locked(directory):
            pass
        (directory / "file").touch()
    assert [path.name for path in directory.iterdir()] == ["file"]
    with run_directory.locked(tmp_path / "empty"):
        run_directory.check_free(tmp_path / "empty")
    assert not (tmp_path / "empty").exists()


def test_default_directories_are_never_the_same(tmp_path, settings, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = run_directory.default_directory(settings)
    first.mkdir(parents=True)
    assert run_directory.default_directory(settings) != first


def test_the_summary_is_valid_json_with_infinite_values_and_nan(tmp_path):
    run_directory.write_summary(
        {"loss": float("nan"), "exports": [{"difference": float("inf")}], "none": None}, tmp_path
    )
    written = json.loads((tmp_path / "summary.json").read_text())
    assert written == {"loss": None, "exports": [{"difference": None}], "none": None}


def test_versions_name_the_backend():
    versions = run_directory.versions()
    assert versions["backend"] in versions
    assert versions["keras"].startswith("3.")


def test_resuming_with_more_epochs_is_refused_with_the_way_that_works(tmp_path, settings):
    run_directory.write_settings(settings, tmp_path)
    with pytest.raises(
        ValueError, match=f"epochs=4 there, 99 here.*let the run end, then begin a new run .*--weights {tmp_path}"
    ):
        run_directory.settings_to_resume(tmp_path, {"epochs": 99})


def test_a_path_may_be_given_in_another_form_on_resuming(tmp_path, settings, monkeypatch):
    (tmp_path / "images").mkdir()
    monkeypatch.chdir(tmp_path)
    run_directory.write_settings(dataclasses.replace(settings, dataset="images"), tmp_path)
    resumed = run_directory.settings_to_resume(tmp_path, {"dataset": "images/"})
    assert resumed.dataset == str(tmp_path / "images")
