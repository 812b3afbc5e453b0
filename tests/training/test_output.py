"""The output directory of a run."""

import json

import pytest

from keras_deit.training import output
from keras_deit.training.settings import resolve

pytest.importorskip("tomli_w", reason="config.toml is written with tomli-w")


@pytest.fixture
def settings():
    return resolve({"variant": "deit_ti", "epochs": 4})


def test_a_fresh_directory_is_claimed_with_its_settings(tmp_path, settings):
    output.check_free(tmp_path / "new")
    output.claim(tmp_path / "new", settings)
    assert resolve({}, tmp_path / "new" / "config.toml") == settings


def test_a_directory_in_use_is_refused(tmp_path, settings):
    output.claim(tmp_path / "run", settings)
    with pytest.raises(ValueError, match=r"holds another run\. Add --resume"):
        output.check_free(tmp_path / "run")
    with pytest.raises(ValueError, match="is not empty"):
        output.check_free(tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        output.check_free(tmp_path / "run" / "config.toml")


def test_resuming_takes_the_runs_settings_and_no_others(tmp_path, settings):
    output.claim(tmp_path / "run", settings)
    assert output.settings_to_resume(tmp_path / "run", {"epochs": 4, "seed": None}) == settings
    with pytest.raises(ValueError, match="epochs=5 instead of 4"):
        output.settings_to_resume(tmp_path / "run", {"epochs": 5})
    with pytest.raises(ValueError, match="no run to resume"):
        output.settings_to_resume(tmp_path, {})
    (tmp_path / "run" / "summary.json").write_text(json.dumps({"complete": True}))
    with pytest.raises(ValueError, match="is complete"):
        output.settings_to_resume(tmp_path / "run", {})


def test_the_peak_of_memory_is_that_of_the_process():
    import resource

    assert output.peak_memory() == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_versions_name_the_backend():
    versions = output.versions()
    assert versions["backend"] in versions
    assert versions["keras"].startswith("3.")
