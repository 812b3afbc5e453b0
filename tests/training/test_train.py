"""A run from Python."""

import json
import pathlib

import numpy as np
import pytest

import keras_deit as kd
from keras_deit.training.train import TrainingResult
from tests.runs import SHORT_VARIANT, need_run_packages, student_of, summary_of, weights_of

need_run_packages()
pytestmark = pytest.mark.usefixtures("short_runs")

SHORTEST = dict(variant=SHORT_VARIANT, epochs=1, steps_per_epoch=1, batch_size=8, strategy="none")


def test_a_run_from_python_is_that_of_the_command_to_the_bit(whole_run, tmp_path, capsys):
    config = whole_run.directory / "config.toml"
    result = kd.train(output_dir=tmp_path / "run", config=config, compare=False, epochs=2)
    summary, student, directory = result
    assert isinstance(result, TrainingResult)
    assert directory == tmp_path / "run"
    assert "Done." in capsys.readouterr().out

    names = {path.name for path in whole_run.directory.iterdir()}
    assert {path.name for path in directory.iterdir()} == names - {"without_teacher"}
    texts = [(run / "config.toml").read_text() for run in (whole_run.directory, directory)]
    ours, theirs = ([line for line in text.splitlines() if not line.startswith("compare = ")] for text in texts)
    assert ours == theirs
    assert isinstance(student, kd.DeiT)
    for ours, saved, expected in zip(
        student.get_weights(), weights_of(directory), weights_of(whole_run.directory), strict=True
    ):
        np.testing.assert_array_equal(ours, saved)
        np.testing.assert_array_equal(ours, expected)
    one, other = summary_of(whole_run.directory)["student"], summary_of(directory)["student"]
    np.testing.assert_allclose(list(one.values()), list(other.values()), rtol=1e-4)
    assert json.loads(json.dumps(summary)) == summary_of(directory)


def test_grey_images_of_an_npz_file_are_trained_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng, labels = np.random.default_rng(0), np.arange(60) % 3
    images = (rng.integers(0, 80, (60, 28, 28)) + 80 * labels[:, None, None]).astype("uint8")
    np.savez("grey.npz", x_train=images[:40], y_train=labels[:40], x_test=images[40:], y_test=labels[40:])
    summary, student, directory = kd.train(**SHORTEST, dataset=pathlib.Path("grey.npz"), distillation="none")
    assert directory.parent == pathlib.Path("runs")
    assert directory.name.startswith("deit_short-grey-")
    assert summary["complete"]
    assert summary["settings"]["dataset"] == "grey.npz"
    assert student.image_size == (28, 28)
    assert student.class_names == ("0", "1", "2")
    assert "40 images of grey.npz (28×28, patch 4)" in capsys.readouterr().out
    loaded = student_of(directory)
    pixels = np.repeat(images[40:, ..., None], 3, axis=-1)
    logits = loaded.predict((pixels / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD, verbose=0)["class"]
    np.testing.assert_allclose((logits.argmax(-1) == labels[40:]).mean(), summary["student"]["accuracy"], atol=1e-6)


@pytest.mark.backend_independent
def test_a_dataset_other_than_the_digits_needs_a_teacher(tmp_path):
    np.savez(tmp_path / "grey.npz", x_train=np.zeros((20, 28, 28), "uint8"), y_train=np.arange(20) % 2)
    with pytest.raises(ValueError, match="needs a teacher: pass --teacher, or --distillation none"):
        kd.train(**SHORTEST, dataset=tmp_path / "grey.npz", output_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoch": 3}, "epoch.*Did you mean epochs"),
        ({"variant": "deit_tinny"}, "Similar names: deit_tiny"),
        ({"resume": True}, "Pass `output_dir` too"),
        ({"accept_changes": True}, "`accept_changes` is for a run that is continued"),
        ({"resume": True, "config": "x.toml", "output_dir": "run"}, "Leave --config out"),
        ({"config": pathlib.Path("no/such.toml")}, "'no/such.toml' cannot be read"),
        ({"export": ("coreml",)}, "coreml"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_before_anything_is_written(settings, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        kd.train(**{**SHORTEST, **settings})
    assert not list(tmp_path.iterdir())


@pytest.mark.backend_independent
def test_a_misspelt_setting_is_refused_on_resuming_too(tmp_path):
    (tmp_path / "config.toml").write_text('variant = "deit_ti"\n')
    with pytest.raises(ValueError, match="epoch.*Did you mean epochs"):
        kd.train(epoch=3, output_dir=tmp_path, resume=True)


@pytest.fixture
def resolved(monkeypatch):
    """List that receives the settings of every run, which is then not built."""
    settings_of_runs = []

    def build(settings, *_):
        settings_of_runs.append(settings)
        raise ValueError("built")

    monkeypatch.setattr("keras_deit.training.train.build_run", build)
    return settings_of_runs


@pytest.mark.backend_independent
def test_none_switches_a_setting_of_the_recipe_off(tmp_path, resolved):
    with pytest.raises(ValueError, match="built"):
        kd.train(variant="deit_ti", recipe="deit", auto_augment=None, ema_decay=None, output_dir=tmp_path / "run")
    assert (resolved[0].auto_augment, resolved[0].ema_decay, resolved[0].mixup) == (None, None, 0.8)


@pytest.mark.backend_independent
def test_numbers_of_numpy_become_numbers_of_python(tmp_path, resolved):
    values = dict(epochs=np.int64(2), learning_rate=np.float32(0.5), seed=np.int64(3))
    with pytest.raises(ValueError, match="built"):
        kd.train(variant="deit_ti", output_dir=tmp_path / "run", **values)
    assert {name: type(getattr(resolved[0], name)) for name in values} == dict(
        epochs=int, learning_rate=float, seed=int
    )


def test_an_output_directory_with_another_run_is_refused(whole_run):
    with pytest.raises(ValueError, match=r"holds another run\. Add --resume"):
        kd.train(**SHORTEST, output_dir=whole_run.directory)
    assert not (whole_run.directory / ".lock").exists()
