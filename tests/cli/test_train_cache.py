"""Training on a teacher's stored answers."""

import keras
import numpy as np
import pytest

from keras_deit.training import build, teacher_cache
from tests.cli.runs import SHORT, replicas_of, summary_of, train, weights_of

for package in ("filelock", "sklearn", "matplotlib", "tomli_w", "tqdm"):
    pytest.importorskip(package, reason=f"the main job needs {package}")
pytest.importorskip("PIL.Image", reason="pictures are read by Pillow")
pytestmark = pytest.mark.usefixtures("short_runs")

VIEWS = ["--flip", "0.5", "--erasing", "0.5", "--mixup", "0.8", "--cutmix", "1"]


def test_stored_answers_teach_as_the_live_teacher_does_to_the_bit(tmp_path, monkeypatch):
    assert train(*SHORT, *VIEWS, "--output-dir", tmp_path / "live") == 0
    cache = ["--teacher-cache", tmp_path / "cache"]
    assert train(*SHORT, *VIEWS, *cache, "--output-dir", tmp_path / "first") == 0
    monkeypatch.setattr(teacher_cache, "Answers", None)  # whoever asks now fails
    assert train(*SHORT, *VIEWS, *cache, "--output-dir", tmp_path / "second") == 0
    live = weights_of(tmp_path / "live")
    for name in ("first", "second"):
        for one, other in zip(weights_of(tmp_path / name), live, strict=True):
            np.testing.assert_array_equal(one, other)
    assert summary_of(tmp_path / "second")["teacher"] == summary_of(tmp_path / "first")["teacher"]
    accuracy = summary_of(tmp_path / "live")["teacher"]["accuracy"]
    assert summary_of(tmp_path / "first")["teacher"]["accuracy"] == pytest.approx(accuracy)


def test_a_cache_serves_other_students_and_is_not_asked_for_a_dry_run(tmp_path, monkeypatch):
    cache = ["--teacher-cache", tmp_path / "cache"]
    assert train(*SHORT, *cache, "--dry-run") == 0
    assert not (tmp_path / "cache").exists()
    assert train(*SHORT, *cache, "--output-dir", tmp_path / "run") == 0
    monkeypatch.setattr(teacher_cache, "Answers", None)
    other = ["--drop-path-rate", "0.1", "--patch-size", "2", *cache, "--learning-rate", "1e-3"]
    assert train(*SHORT, *other, "--output-dir", tmp_path / "other") == 0


def test_stored_answers_to_other_views_are_refused(tmp_path, capsys):
    cache = ["--teacher-cache", tmp_path / "cache"]
    assert train(*SHORT, *VIEWS, *cache, "--output-dir", tmp_path / "run") == 0
    assert train(*SHORT, *VIEWS, *cache, "--seed", "1", "--output-dir", tmp_path / "other") == 2
    assert "seed: 0 there, 1 here" in capsys.readouterr().err
    assert train(*SHORT, *VIEWS, *cache, "--mixup", "0.5", "--output-dir", tmp_path / "other") == 2
    assert "mixup: 0.8 there, 0.5 here" in capsys.readouterr().err


def test_stored_probabilities_teach_softly(tmp_path):
    options = [*SHORT, *VIEWS, "--distillation", "soft"]
    assert train(*options, "--output-dir", tmp_path / "live") == 0
    stored = ["--teacher-cache", tmp_path / "cache", "--teacher-cache-top", "10"]
    assert train(*options, *stored, "--output-dir", tmp_path / "stored") == 0
    for one, other in zip(weights_of(tmp_path / "stored"), weights_of(tmp_path / "live"), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)  # as far as Adam carries half a step of float16


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras has no replicas on PyTorch")
def test_stored_answers_teach_on_replicas_as_the_live_teacher_does(tmp_path, monkeypatch):
    strategy = {"tensorflow": "mirrored", "jax": "data_parallel"}[keras.backend.backend()]
    options, replicas, open_cache = [*SHORT, *VIEWS, "--strategy", strategy], [], build.open_cache

    def spy(run, teacher):
        replicas.append(replicas_of(run.model))
        return open_cache(run, teacher)

    monkeypatch.setattr(build, "open_cache", spy)
    assert train(*options, "--output-dir", tmp_path / "live") == 0
    assert train(*options, "--teacher-cache", tmp_path / "cache", "--output-dir", tmp_path / "stored") == 0
    assert replicas == [2]
    for one, other in zip(weights_of(tmp_path / "stored"), weights_of(tmp_path / "live"), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)  # Adam makes steps of rounding noise in the keys' bias


def test_layers_that_draw_by_themselves_leave_nothing_to_store(tmp_path, capsys):
    options = ["--augmentation-layers", "layers.keras", "--teacher-cache", tmp_path / "cache"]
    assert train(*SHORT, *options, "--output-dir", tmp_path / "run") == 2
    assert "Leave out --teacher-cache" in capsys.readouterr().err
