"""Training on stored teacher outputs."""

import dataclasses
import pathlib
import shutil
import types

import keras
import numpy as np
import pytest

from keras_deit.data import Augmentation, ImageData, InputPipeline
from keras_deit.teacher import Teacher
from keras_deit.training import run
from keras_deit.training.teachers import stored_outputs
from tests.runs import SHORT, need_run_packages, num_replicas_of, summary_of, train, weights_of

need_run_packages()
pytest.importorskip("PIL.Image", reason="images are read by Pillow")
pytestmark = pytest.mark.usefixtures("short_runs")

SAMPLES = ["--flip", "0.5", "--erasing", "0.5", "--mixup", "0.8", "--cutmix", "1"]


@dataclasses.dataclass(frozen=True)
class CachedRun:
    """A run that filled a teacher cache.

    Attributes:
        directory: Output directory.
        options: Options of the run and of its cache.
    """

    directory: pathlib.Path
    options: list


@pytest.fixture(scope="module")
def cached_run(short_runs, tmp_path_factory):
    directory = tmp_path_factory.mktemp("cached")
    options = [*SHORT, *SAMPLES, "--teacher-cache", directory / "cache"]
    assert train(*options, "--output-dir", directory / "run") == 0
    return CachedRun(directory / "run", options)


def test_stored_outputs_train_the_same_weights_as_the_live_teacher_to_the_bit(cached_run, tmp_path, monkeypatch):
    assert train(*SHORT, *SAMPLES, "--output-dir", tmp_path / "live") == 0
    monkeypatch.setattr(stored_outputs, "TeacherPredictor", None)  # nothing may be computed again
    assert train(*cached_run.options, "--output-dir", tmp_path / "second") == 0
    live = weights_of(tmp_path / "live")
    for directory in (cached_run.directory, tmp_path / "second"):
        for one, other in zip(weights_of(directory), live, strict=True):
            np.testing.assert_array_equal(one, other)
    assert summary_of(tmp_path / "second")["teacher"] == summary_of(cached_run.directory)["teacher"]
    accuracy = summary_of(tmp_path / "live")["teacher"]["accuracy"]
    assert summary_of(cached_run.directory)["teacher"]["accuracy"] == pytest.approx(accuracy)


@pytest.mark.backend_independent
def test_a_cache_serves_other_students(cached_run, tmp_path, monkeypatch):
    monkeypatch.setattr(stored_outputs, "TeacherPredictor", None)
    other = ["--drop-path-rate", "0.1", "--patch-size", "2", "--learning-rate", "1e-3"]
    assert train(*cached_run.options, *other, "--output-dir", tmp_path / "other") == 0


@pytest.mark.backend_independent
def test_a_dry_run_fills_no_cache(tmp_path):
    assert train(*SHORT, "--teacher-cache", tmp_path / "cache", "--dry-run") == 0
    assert not (tmp_path / "cache").exists()


def test_a_damaged_file_ends_the_run_with_one_error_that_names_it(cached_run, tmp_path, capsys):
    cache = shutil.copytree(pathlib.Path(cached_run.options[-1]), tmp_path / "cache")
    options = [*SHORT, *SAMPLES, "--teacher-cache", cache, "--output-dir", tmp_path / "run"]
    damaged = cache / "epoch-0001-0000.npz"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    assert train(*options) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert f"The stored teacher outputs {str(damaged)!r} are damaged" in error
    assert "Delete the file; the next run stores it again." in error
    damaged.unlink()
    assert train("--output-dir", tmp_path / "run", "--resume") == 0  # as the message says
    for one, other in zip(weights_of(tmp_path / "run"), weights_of(cached_run.directory), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("name", "remedy"), [("key.json", "Delete the directory"), ("teacher.json", "Delete the file")]
)
def test_a_damaged_description_of_a_cache_is_an_error_that_names_it(name, remedy, cached_run, tmp_path, capsys):
    cache = shutil.copytree(pathlib.Path(cached_run.options[-1]), tmp_path / "cache")
    (cache / name).write_text('{"seed": ')
    assert train(*SHORT, *SAMPLES, "--teacher-cache", cache, "--output-dir", tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert str(cache / name) in error
    assert remedy in error


@pytest.mark.backend_independent
def test_stored_outputs_for_other_samples_are_refused(cached_run, tmp_path, capsys):
    assert train(*cached_run.options, "--seed", "1", "--output-dir", tmp_path / "other") == 2
    assert "seed: 0 stored, 1 here" in capsys.readouterr().err
    assert train(*cached_run.options, "--mixup", "0.5", "--output-dir", tmp_path / "other") == 2
    assert "mixup: 0.8 stored, 0.5 here" in capsys.readouterr().err


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("pipeline", "crop_scale", "differs"),
    [("python", (0.3, 1), True), ("python", None, False), ("tf.data", (0.3, 1), False)],
)
def test_crops_that_pytorch_resizes_need_a_cache_of_their_own(pipeline, crop_scale, differs, monkeypatch):
    images = ImageData("noise", np.zeros((4, 8, 8, 3), "uint8"), np.arange(4) % 2, ("a", "b"))
    augmentation = Augmentation(crop_scale=crop_scale, flip=0.5)
    training = InputPipeline(images, 8, batch_size=2, augmentation=augmentation, pipeline=pipeline)
    data = types.SimpleNamespace(train=images, training=training, mean=training.mean, std=training.std)
    teacher = Teacher(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]))
    keys = []
    for backend in ("torch", "jax", "tensorflow"):
        monkeypatch.setattr("keras.backend.backend", lambda backend=backend: backend)
        keys.append(stored_outputs._key(types.SimpleNamespace(crop_ratio=1.0), data, teacher))
    assert keys[1] == keys[2]
    assert (keys[0] != keys[1]) == differs


@pytest.mark.backend_independent
def test_stored_probabilities_train_as_the_live_teacher_in_soft_distillation(tmp_path):
    options = [*SHORT, *SAMPLES, "--distillation", "soft"]
    assert train(*options, "--output-dir", tmp_path / "live") == 0
    stored = ["--teacher-cache", tmp_path / "cache", "--teacher-cache-top", "10"]
    assert train(*options, *stored, "--output-dir", tmp_path / "stored") == 0
    for one, other in zip(weights_of(tmp_path / "stored"), weights_of(tmp_path / "live"), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)  # Adam turns half a step of float16 into such differences


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras has no replicas on PyTorch")
def test_stored_outputs_train_as_the_live_teacher_on_replicas(tmp_path, monkeypatch):
    strategy = {"tensorflow": "mirrored", "jax": "data_parallel"}[keras.backend.backend()]
    options, replicas, open_cache = [*SHORT, *SAMPLES, "--strategy", strategy], [], run.open_cache

    def spy(settings, data, teacher, num_replicas):
        replicas.append((num_replicas, num_replicas_of(teacher.model)))
        return open_cache(settings, data, teacher, num_replicas)

    monkeypatch.setattr(run, "open_cache", spy)
    assert train(*options, "--output-dir", tmp_path / "live") == 0
    assert train(*options, "--teacher-cache", tmp_path / "cache", "--output-dir", tmp_path / "stored") == 0
    assert replicas == [(2, 2)]
    for one, other in zip(weights_of(tmp_path / "stored"), weights_of(tmp_path / "live"), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)  # Adam makes steps of rounding noise in the keys' bias


@pytest.mark.backend_independent
def test_outputs_for_the_samples_of_layers_cannot_be_stored(tmp_path, capsys):
    options = ["--augmentation-layers", "layers.keras", "--teacher-cache", tmp_path / "cache"]
    assert train(*SHORT, *options, "--output-dir", tmp_path / "run") == 2
    assert "eave out --teacher-cache" in capsys.readouterr().err
