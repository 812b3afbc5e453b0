"""Input pipelines are timed in child processes; the values themselves are for the benchmark alone."""

import pytest

from keras_deit.benchmark import data, images
from keras_deit.benchmark.setting import PipelineSetting

pytest.importorskip("PIL.Image", reason="Pillow writes the images")
pytest.importorskip("sklearn.datasets", reason="the photographs are scikit-learn's")

pytestmark = pytest.mark.backend_independent

SETTING = PipelineSetting(image_size=32, batch_size=8, num_batches=2, num_workers=2)


@pytest.fixture(autouse=True)
def _few_files(monkeypatch):
    monkeypatch.setattr(images, "NUM_FILES", 2)


def pretend_installed(monkeypatch, *modules):
    monkeypatch.setattr(data.importlib.util, "find_spec", lambda name: name if name in modules else None)


def test_pipelines_run_in_turns_and_missing_packages_are_named(monkeypatch):
    names = []

    def pretend(name, setting, folder):
        names.append(name)
        return 100.0 + len(names)

    pretend_installed(monkeypatch, "tensorflow", "timm")
    monkeypatch.setattr(data, "_run_in_child_process", pretend)
    results, left_out = data.run(SETTING, rounds=2)
    assert names == ["decoding only", "tf.data", "timm"] * 2
    assert results == {"decoding only": [101, 104], "tf.data": [102, 105], "timm": [103, 106]}
    assert left_out == {"grain": "grain is not installed", "keras-cv": "keras_cv is not installed"}


def test_a_child_process_times_a_pipeline(monkeypatch):
    pytest.importorskip("tensorflow", reason="the pipeline is TensorFlow's")
    monkeypatch.setattr(data, "PIPELINES", {"decoding only": None})
    results, _ = data.run(SETTING, rounds=1)
    (speed,) = results["decoding only"]
    assert speed > 0


def test_a_pipeline_that_fails_is_left_out_with_the_reason(monkeypatch):
    def fail(*arguments):
        raise RuntimeError("ValueError: too small")

    pretend_installed(monkeypatch, "timm")
    monkeypatch.setattr(data, "number_of_python", fail)
    results, left_out = data.run(SETTING, rounds=2)
    assert results == {}
    assert left_out["timm"] == "ValueError: too small"
