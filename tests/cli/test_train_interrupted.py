"""Runs of `keras-deit train` that are interrupted, and resuming them."""

import csv
import os
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.runtime.stop_signals import INTERRUPTED, STOPPED
from keras_deit.training import run as run_module
from keras_deit.training import run_directory
from keras_deit.training.checkpoint import Checkpoints
from keras_deit.training.log import TrainingLog
from keras_deit.training.position import Position
from tests import killed_script, short_script
from tests.image_folders import write_images
from tests.runs import (
    ON_ONE_DEVICE,
    SHORT,
    SHORT_VARIANT,
    need_run_packages,
    num_replicas_of,
    student_of,
    summary_of,
    train,
    weights_of,
)

need_run_packages()
pytestmark = pytest.mark.usefixtures("short_runs")

BACKEND = keras.backend.backend()
ROOT = pathlib.Path(__file__).parents[2]
SIGUSR1 = getattr(signal, "SIGUSR1", signal.SIGTERM)  # Windows has no SIGUSR1


def interrupting(*signals, step):
    """Makes a method of `Position` that sends signals to this process when a number of steps was taken."""
    count = Position.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        count(self, batch, logs)
        if self.total_steps == step:
            for kind in signals:
                signal.raise_signal(kind)

    return on_train_batch_end


@pytest.mark.parametrize(
    "strategy", [pytest.param("none", marks=pytest.mark.backend_independent), "mirrored", "data_parallel"]
)
def test_a_stopped_run_resumes_to_the_same_student_on_every_strategy(strategy, whole_run, tmp_path, monkeypatch):
    if {"none": BACKEND, "mirrored": "tensorflow", "data_parallel": "jax"}[strategy] != BACKEND:
        pytest.skip("a strategy of another backend")
    replicas, begin, end, weights = [], TrainingLog.on_epoch_begin, TrainingLog.on_epoch_end, {}

    def spy(self, epoch, logs=None):
        replicas.append(num_replicas_of(self.model))
        begin(self, epoch, logs)

    def keep(self, epoch, logs=None):
        end(self, epoch, logs)
        if self.path.parent == tmp_path / "run":
            weights[epoch + 1] = [np.array(weight) for weight in self.model.student.get_weights()]

    monkeypatch.setattr(TrainingLog, "on_epoch_begin", spy)
    monkeypatch.setattr(TrainingLog, "on_epoch_end", keep)
    options = [*SHORT, "--strategy", strategy, "--keep", "best", "--patience", "2", "--output-dir", tmp_path / "run"]
    if strategy != "none":  # the student without a teacher is built on the replicas too
        options.append("--compare")
    with monkeypatch.context() as patch:
        patch.setattr(Position, "on_train_batch_end", interrupting(signal.SIGINT, step=3))
        assert train(*options) == STOPPED
    cut = summary_of(tmp_path / "run")
    assert (cut["complete"], cut["epochs"], cut["steps"]) == (False, 1, 3)
    assert train("--output-dir", tmp_path / "run", "--resume") == 0
    assert replicas == ([1] * 3 if strategy == "none" else [2] * 5)
    assert not (tmp_path / "run" / "checkpoints").exists()
    resumed, expected = summary_of(tmp_path / "run"), summary_of(whole_run.directory)
    assert resumed["epochs"] == expected["epochs"] == 2
    assert_same_results(resumed["student"], expected["student"])
    accuracies = {int(row["epoch"]): float(row["val_accuracy"]) for row in rows_of(tmp_path / "run")}
    best = max(accuracies, key=accuracies.get)
    assert resumed["best_epoch"] == {"epoch": best, "accuracy": accuracies[best], "weights": "student_best.keras"}
    kept = keras.saving.load_model(tmp_path / "run" / "student_best.keras", compile=False)
    for ours, theirs in zip(kept.get_weights(), weights[best], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    if strategy != "none":
        assert_same_results(resumed["without_teacher"], expected["without_teacher"])


def test_a_killed_run_ends_with_the_very_weights_of_a_run_left_alone(whole_run, tmp_path, monkeypatch, capsys):
    """Killed while it writes a checkpoint, then asked to stop within an epoch, then left to its end."""
    options = [*SHORT, "--checkpoint-every", "1", "--resume", "auto", "--output-dir", str(tmp_path / "run")]
    child = run_child(killed_script.__file__, "2", str(ROOT / "scripts" / "train.py"), *options)
    assert child.wait(timeout=900) == -signal.SIGKILL
    checkpoints = Checkpoints(tmp_path / "run")
    assert [path.name for path in checkpoints.paths()] == ["step-000000001.npz"]
    assert [path.name for path in checkpoints.folder.glob(".*")]  # what was half written
    with monkeypatch.context() as patch:
        patch.setattr(Position, "on_train_batch_end", interrupting(signal.SIGTERM, step=3))
        assert train(*options) == STOPPED
    assert "student: resumed at step 1 of 2 of epoch 1 of 2" in capsys.readouterr().out
    assert (tmp_path / "run" / "student.keras").exists()
    assert not list(checkpoints.folder.glob(".*"))
    assert train(*options) == 0
    assert "student: resumed at step 1 of 2 of epoch 2 of 2" in capsys.readouterr().out
    for ours, theirs in zip(weights_of(tmp_path / "run"), weights_of(whole_run.directory), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert rows_of(tmp_path / "run") == rows_of(whole_run.directory)
    assert train(*options) == 0
    assert f"The run in {tmp_path / 'run'} is complete." in capsys.readouterr().out


def rows_of(directory):
    """The rows of `history.csv` without those of time."""
    with open(directory / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    timed = ("seconds", "images_per_second", "waiting_for_data")
    return [{name: value for name, value in row.items() if name not in timed} for row in rows]


@pytest.mark.backend_independent
def test_a_second_ctrl_c_ends_a_run_at_once_and_python_resumes_it(whole_run, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(Position, "on_train_batch_end", interrupting(signal.SIGINT, signal.SIGINT, step=3))
        assert train(*SHORT, "--distillation", "none", "--output-dir", tmp_path / "run") == INTERRUPTED
    assert "--resume" in capsys.readouterr().err
    assert not (tmp_path / "run" / ".lock").exists()

    summary, student, directory = kd.train(output_dir=tmp_path / "run", resume="auto")
    assert "student: resumed after epoch 1 of 2" in capsys.readouterr().out
    assert directory == tmp_path / "run"
    assert (summary["complete"], summary["epochs"]) == (True, 2)
    assert_same_results(summary["student"], summary_of(whole_run.directory)["without_teacher"])
    for ours, saved in zip(student.get_weights(), weights_of(directory), strict=True):
        np.testing.assert_array_equal(ours, saved)
    again = kd.train(output_dir=tmp_path / "run", resume="auto")  # a complete run is returned as it is
    assert again.summary["student"] == summary["student"]
    for ours, saved in zip(again.student.get_weights(), weights_of(directory), strict=True):
        np.testing.assert_array_equal(ours, saved)


@pytest.mark.backend_independent
def test_a_changed_dataset_is_refused_on_resuming_unless_it_is_accepted(tmp_path, monkeypatch, capsys, linear_student):
    first, *_ = write_images(tmp_path / "images", 40)
    options = [*SHORT, "--dataset", tmp_path / "images", "--distillation", "none", "--image-size", "32"]
    options += ["--output-dir", tmp_path / "run"]
    with monkeypatch.context() as patch:
        patch.setattr(Position, "on_train_batch_end", interrupting(signal.SIGTERM, step=1))
        assert train(*options) == STOPPED
    printed = capsys.readouterr()
    assert "curves" not in printed.out  # there is no whole epoch to draw
    assert "legend" not in printed.err
    assert not (tmp_path / "run" / "curves.png").exists()
    first.unlink()
    assert train("--output-dir", tmp_path / "run", "--resume") == 2
    error = capsys.readouterr().err
    assert "keras-deit train: error: What the run was begun with has changed: the train split had" in error
    assert train("--output-dir", tmp_path / "run", "--resume", "--accept-changes") == 0


@pytest.fixture
def linear_run(monkeypatch):
    """Replaces the model of runs without a teacher by a linear one, with the loss and the optimiser of the run."""

    def make_linear(settings, data, student):
        layers = [keras.layers.Flatten(), keras.layers.Dense(data.train.num_classes)]
        model = keras.Sequential([keras.Input(student.input_shape[1:]), *layers])
        model.compile(
            run_module._optimizer(settings, data, student),
            run_module.make_criterion(settings),
            weighted_metrics=["accuracy"],
        )
        return model

    monkeypatch.setattr(run_module, "_classifier", make_linear)


def write_noise(path, num_train, num_test=8):
    """Writes a dataset of noise, small images of two classes; the last training image alone is of a third class."""
    rng, labels = np.random.default_rng(0), np.append(np.arange(num_train - 1) % 2, 2)
    pixels = rng.integers(0, 256, (num_train + num_test, 8, 8, 3), dtype="uint8")
    test = dict(x_test=pixels[num_train:], y_test=np.arange(num_test) % 2)
    np.savez(path, x_train=pixels[:num_train], y_train=labels, **test)


@pytest.mark.eager("tensorflow")
def test_a_run_whose_images_became_fewer_goes_on_where_it_was(linear_run, tmp_path, monkeypatch):
    """An epoch has fewer steps then, so the steps since the beginning are fewer too."""
    epochs, peak, lowest = 6, 0.5, 0.125
    options = ["--variant", SHORT_VARIANT, "--dataset", tmp_path / "noise.npz", "--distillation", "none"]
    options += ["--batch-size", "4", "--epochs", epochs, "--optimizer", "sgd", "--schedule", "steps"]
    options += ["--learning-rate", peak, "--min-learning-rate", lowest, "--warmup-epochs", "0"]
    options += [
        "--learning-rate-batch",
        "none",
        "--checkpoint-every",
        "1",
        "--output-dir",
        tmp_path / "run",
        *ON_ONE_DEVICE,
    ]
    write_noise(tmp_path / "noise.npz", 40)
    with monkeypatch.context() as patch:
        patch.setattr(Position, "on_train_batch_end", interrupting(SIGUSR1, step=35))
        assert train(*options) == STOPPED
    write_noise(tmp_path / "noise.npz", 16)  # 4 steps an epoch, not 10
    resume = ["--output-dir", tmp_path / "run", "--resume", "--accept-changes"]
    with monkeypatch.context() as patch:
        patch.setattr(Position, "on_train_batch_end", interrupting(SIGUSR1, step=18))
        assert train(*resume) == STOPPED
    facts = Checkpoints(tmp_path / "run").facts()
    assert (facts["epoch"], facts["step"]) == (4, 2)  # the beginning of the fourth epoch was step 12
    assert train(*resume) == 0
    rows = rows_of(tmp_path / "run")
    assert [int(row["epoch"]) for row in rows] == list(range(1, epochs + 1))
    last_steps = np.array([9, 19, 29, 15, 19, 23]) / np.array([60, 60, 60, 24, 24, 24])  # as fractions of the run
    expected = lowest + (peak - lowest) / 2 * (1 + np.cos(np.pi * last_steps))
    np.testing.assert_allclose([float(row["learning_rate"]) for row in rows], expected, rtol=1e-5)


class _PoisonedLoss(keras.losses.Loss):
    """Cross-entropy; the loss and the gradient are NaN for a batch with the third class."""

    def call(self, y_true, y_pred):
        values = keras.losses.categorical_crossentropy(y_true, y_pred, from_logits=True)
        return values * keras.ops.where(y_true[:, 2] > 0.5, float("nan"), 1.0)


@pytest.mark.eager("tensorflow")
def test_a_poisoned_batch_stops_a_run_which_goes_on_without_it(linear_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_module, "make_criterion", lambda settings: _PoisonedLoss())
    write_noise(tmp_path / "noise.npz", 16)  # the poisoned image is in one of the 4 batches of every epoch
    options = ["--variant", SHORT_VARIANT, "--dataset", tmp_path / "noise.npz", "--distillation", "none"]
    options += ["--batch-size", "4", "--epochs", "3", "--checkpoint-every", "1", *ON_ONE_DEVICE]
    assert train(*options, "--output-dir", tmp_path / "run") == 1
    error = capsys.readouterr().err
    assert "the loss is not finite at step" in error
    assert "image 15 of 'noise.npz'" in error
    assert "may also continue with --resume --on-nan skip" in error
    stopped = summary_of(tmp_path / "run")
    diverged, facts = stopped["diverged"], Checkpoints(tmp_path / "run").facts()
    assert facts["epoch"] == diverged["epoch"] - 1
    assert 1 <= facts["step"] < diverged["step"]  # before the batch; the thread may not have written every step
    assert train("--output-dir", tmp_path / "run", "--resume") == 1  # which meets the batch again
    assert "the loss is not finite at step" in capsys.readouterr().err
    assert train("--output-dir", tmp_path / "run", "--resume", "--on-nan", "skip") == 0
    assert train(*options, "--on-nan", "skip", "--output-dir", tmp_path / "skipping") == 0
    for directory in (tmp_path / "run", tmp_path / "skipping"):
        summary = summary_of(directory)
        assert (summary["complete"], summary["skipped_steps"], summary["steps"]) == (True, 3, 12)
        assert all(0 < float(row["loss"]) < 10 for row in rows_of(directory))
    assert rows_of(tmp_path / "run") == rows_of(tmp_path / "skipping")


@pytest.mark.backend_independent
def test_a_full_disk_ends_a_run_with_the_sizes_and_the_earlier_checkpoint(tmp_path, monkeypatch, capsys):
    resource = pytest.importorskip("resource", reason="a limit of POSIX has the effect of a full disk")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    write = Checkpoints.write

    def write_then_fill(self, step, *arguments):
        if step == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        write(self, step, *arguments)

    options = [*SHORT, "--distillation", "none", "--checkpoint-every", "1", "--output-dir", tmp_path / "run"]
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "write", write_then_fill)
            assert train(*options) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    error = capsys.readouterr().err
    assert "step-000000002.npz' cannot be written: it needs " in error
    assert " are free on its disk" in error
    assert f"Make room. Resume with:  KERAS_BACKEND={BACKEND}" in error
    assert train("--output-dir", tmp_path / "run", "--resume") == 0


def assert_same_results(results, expected):
    """Asserts that two runs gave the same student, up to rounding."""
    for name, value in expected.items():
        np.testing.assert_allclose(results[name], value, rtol=1e-4 if name.endswith("loss") else 1e-2)


def run_child(*arguments, **options):
    """Starts a Python process with this package."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen([sys.executable, "-u", *arguments], text=True, env=environment, **options)


def test_ctrl_c_to_the_script_leaves_a_usable_student_and_prints_its_path(tmp_path):
    options = [*SHORT, "--epochs", "500", "--distillation", "none", "--output-dir", str(tmp_path / "run")]
    script = str(ROOT / "scripts" / "train.py")
    process = run_child(short_script.__file__, script, *options, stdout=subprocess.PIPE)
    for line in process.stdout:
        if line.startswith("student: epoch 2/"):
            break
    process.send_signal(signal.SIGINT)
    printed = process.stdout.read()
    assert process.wait(timeout=900) == STOPPED
    assert "Stopping after this step" in printed
    assert str(tmp_path / "run" / "student.keras") in printed
    assert f"KERAS_BACKEND={BACKEND} python {script} --output-dir {tmp_path / 'run'} --resume" in printed
    assert all(np.isfinite(weight).all() for weight in student_of(tmp_path / "run").get_weights())
    assert 2 <= Checkpoints(tmp_path / "run").facts()["epoch"] < 500


@pytest.mark.backend_independent
def test_two_runs_do_not_share_a_directory(tmp_path, capsys):
    with run_directory.locked(tmp_path / "run"):
        assert train(*SHORT, "--output-dir", tmp_path / "run") == 2
    assert "Another process trains in the output directory" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
