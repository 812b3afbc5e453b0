"""Runs of `keras-deit train` that are interrupted, and resuming them."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.training import run_directory
from keras_deit.training.log import TrainingLog
from tests import short_script
from tests.runs import SHORT, need_run_packages, num_replicas_of, student_of, summary_of, train, weights_of

need_run_packages()
pytestmark = pytest.mark.usefixtures("short_runs")

BACKEND = keras.backend.backend()
ROOT = pathlib.Path(__file__).parents[2]


def interrupt_in_second_epoch(self, batch, logs=None):
    """Sends Ctrl-C before the first batch of the second epoch."""
    if self.last_epoch == 1 and batch == 0:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("strategy", ["none", "mirrored", "data_parallel"])
def test_an_interrupted_run_resumes_to_the_same_student_on_every_strategy(strategy, whole_run, tmp_path, monkeypatch):
    if {"none": BACKEND, "mirrored": "tensorflow", "data_parallel": "jax"}[strategy] != BACKEND:
        pytest.skip("a strategy of another backend")
    replicas, begin = [], TrainingLog.on_epoch_begin

    def spy(self, epoch, logs=None):
        replicas.append(num_replicas_of(self.model))
        begin(self, epoch, logs)

    monkeypatch.setattr(TrainingLog, "on_epoch_begin", spy)
    options = [*SHORT, "--strategy", strategy, "--output-dir", tmp_path / "run"]
    if strategy != "none":  # the student without a teacher is built on the replicas too
        options.append("--compare")
    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "on_train_batch_begin", interrupt_in_second_epoch)
        assert train(*options) == 130
    cut = summary_of(tmp_path / "run")
    assert (cut["complete"], cut["epochs"]) == (False, 1)
    assert json.loads((tmp_path / "run" / "checkpoint.json").read_text())["epoch"] == 1
    assert train("--output-dir", tmp_path / "run", "--resume") == 0
    assert replicas == ([1] * 3 if strategy == "none" else [2] * 5)
    assert not (tmp_path / "run" / "checkpoint.json").exists()
    resumed, expected = summary_of(tmp_path / "run"), summary_of(whole_run.directory)
    assert resumed["epochs"] == expected["epochs"] == 2
    assert_same_results(resumed["student"], expected["student"])
    if strategy != "none":
        assert_same_results(resumed["without_teacher"], expected["without_teacher"])


def test_a_second_ctrl_c_ends_a_run_at_once_and_python_resumes_it(whole_run, tmp_path, monkeypatch, capsys):
    def interrupt_twice(self, batch, logs=None):
        interrupt_in_second_epoch(self, batch)
        interrupt_in_second_epoch(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "on_train_batch_begin", interrupt_twice)
        assert train(*SHORT, "--distillation", "none", "--output-dir", tmp_path / "run") == 130
    assert "--resume" in capsys.readouterr().err
    assert not (tmp_path / "run" / ".lock").exists()

    summary, student, directory = kd.train(output_dir=tmp_path / "run", resume=True)
    assert "student: resumed after epoch 1 of 2" in capsys.readouterr().out
    assert directory == tmp_path / "run"
    assert (summary["complete"], summary["epochs"]) == (True, 2)
    assert_same_results(summary["student"], summary_of(whole_run.directory)["without_teacher"])
    for ours, saved in zip(student.get_weights(), weights_of(directory), strict=True):
        np.testing.assert_array_equal(ours, saved)


def assert_same_results(results, expected):
    """Asserts that two runs gave the same student, up to rounding."""
    for name, value in expected.items():
        np.testing.assert_allclose(results[name], value, rtol=1e-4 if name.endswith("loss") else 1e-2)


def test_ctrl_c_to_the_script_leaves_a_usable_student_and_prints_its_path(tmp_path):
    options = [*SHORT, "--epochs", "500", "--distillation", "none", "--output-dir", str(tmp_path / "run")]
    command = [sys.executable, "-u", short_script.__file__, str(ROOT / "scripts" / "train.py"), *options]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    for line in process.stdout:
        if line.startswith("student: epoch 2/"):
            break
    process.send_signal(signal.SIGINT)
    printed = process.stdout.read()
    assert process.wait(timeout=120) == 130
    assert "Interrupted" in printed
    assert str(tmp_path / "run" / "student.keras") in printed
    assert (
        f"KERAS_BACKEND={BACKEND} python {ROOT / 'scripts' / 'train.py'} --output-dir {tmp_path / 'run'} --resume"
        in printed
    )
    assert all(np.isfinite(weight).all() for weight in student_of(tmp_path / "run").get_weights())
    assert 2 <= json.loads((tmp_path / "run" / "checkpoint.json").read_text())["epoch"] < 500


def test_two_runs_do_not_share_a_directory(tmp_path, capsys):
    with run_directory.locked(tmp_path / "run"):
        assert train(*SHORT, "--output-dir", tmp_path / "run") == 2
    assert "Another process trains in the output directory" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
