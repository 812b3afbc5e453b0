"""A run, built and ready to train."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.data import ImageData
from keras_deit.training import usable_images
from keras_deit.training.resolve import resolve
from keras_deit.training.run import build_run, without_teacher

pytestmark = pytest.mark.usefixtures("short_runs")  # which have the variant

RNG = np.random.default_rng(0)
NOISE = ImageData("noise", RNG.integers(0, 256, (20, 8, 8, 3), dtype="uint8"), np.arange(20) % 2, ("a", "b"))


@pytest.fixture(autouse=True)
def noise(monkeypatch):
    monkeypatch.setattr(usable_images, "load", lambda *_, **__: NOISE)


def build(directory, num_replicas=1, **given):
    """Builds a run on noise."""
    return build_run(
        resolve({"variant": "deit_short", "dataset": "noise", "batch_size": 4, **given}), directory, num_replicas
    )


@pytest.fixture
def teacher(tmp_path):
    """Path of a linear teacher."""
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.save(tmp_path / "teacher.keras")
    return tmp_path / "teacher.keras"


def test_a_run_with_a_teacher_is_whole_and_cannot_be_changed(teacher, tmp_path, capsys):
    run = build(tmp_path / "run", teacher=str(teacher), distillation="soft", temperature=2.0, alpha=0.3)
    assert isinstance(run.model, kd.Distiller)
    assert run.model.student is run.student
    assert (run.model.distillation, run.model.temperature, run.model.alpha) == ("soft", 2.0, 0.3)
    model = keras.saving.load_model(teacher, compile=False)
    images = ((NOISE.images / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD).astype("float32")
    accuracy = (model.predict(images, verbose=0).argmax(-1) == NOISE.labels).mean()
    assert run.teacher_accuracy == pytest.approx(accuracy)
    assert f"{accuracy:.1%} on the test split" in capsys.readouterr().out
    assert not [
        field.name for field in dataclasses.fields(run) if field.name != "cache" and getattr(run, field.name) is None
    ]
    for name, value in (("student", None), ("model", None), ("settings", None)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(run, name, value)


def test_a_run_without_a_teacher_trains_a_classifier_on_labels(tmp_path):
    run = build(tmp_path / "run", distillation="none")
    assert isinstance(run.model, kd.DeiTClassifier)
    assert (run.teacher_accuracy, run.cache) == (None, None)
    batches = iter(run.training_batches(epoch=1))
    for ours, theirs in zip(next(batches), run.data.first_batch(epoch=1), strict=True):
        np.testing.assert_array_equal(np.asarray(ours), theirs)
    assert run.timer.seconds > 0
    assert set(run.evaluate()) == {"loss", "accuracy"}


def test_the_same_run_without_its_teacher_has_its_own_student(teacher, tmp_path):
    run = build(tmp_path / "run", teacher=str(teacher))
    plain = without_teacher(run)
    assert isinstance(plain.model, kd.DeiTClassifier)
    assert set(plain.student.output) == {"class"}
    assert plain.directory == tmp_path / "run" / "without_teacher"
    assert plain.data is run.data
    assert plain.timer is not run.timer
    assert (plain.settings.distillation, run.settings.distillation) == ("none", "hard")
    assert plain.teacher_accuracy == run.teacher_accuracy


def test_equal_settings_give_equal_students(tmp_path):
    one, other = (build(tmp_path, distillation="none").student.get_weights() for _ in range(2))
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"needs a teacher: pass --teacher, or --distillation none.*dataset='noise'"),
        ({"distillation": "none", "batch_size": 5}, "Try --batch-size 4"),
        ({"teacher": "no/such.keras"}, "There is no file 'no/such.keras'"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(given, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        build(tmp_path, num_replicas=2, **given)


def test_the_weights_determine_the_normalisation_of_the_whole_run(teacher, tmp_path):
    """The images, and what the Distiller undoes before the teacher's own normalisation."""
    record = kd.Preprocessing((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    kd.DeiT.from_variant("deit_short", num_classes=2, image_size=8, patch_size=4, preprocessing=record).save(
        tmp_path / "weights.keras"
    )
    run = build(tmp_path / "run", teacher=str(teacher), weights=str(tmp_path / "weights.keras"))
    assert (run.student.preprocessing.mean, run.student.preprocessing.std) == (record.mean, record.std)
    assert (tuple(run.model.image_mean), tuple(run.model.image_std)) == (record.mean, record.std)
    images = np.concatenate([np.asarray(batch[0]) for batch in run.test_batches()])
    np.testing.assert_allclose(images, (NOISE.images / 255 - record.mean) / record.std, atol=1e-5)
    model = keras.saving.load_model(teacher, compile=False)
    imagenet = ((NOISE.images / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD).astype("float32")
    accuracy = (model.predict(imagenet, verbose=0).argmax(-1) == NOISE.labels).mean()
    assert run.teacher_accuracy == pytest.approx(accuracy)
