"""Runs of two processes on one machine."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from keras_deit.runtime.child_process import child_environment
from keras_deit.runtime.stop_signals import STOPPED
from keras_deit.training.checkpoint import Checkpoints
from tests import short_script
from tests.html_pages import Page
from tests.runs import SHORT, need_run_packages, summary_of, train
from tests.training import parallel_fit

need_run_packages()
pytestmark = [
    pytest.mark.usefixtures("short_runs"),
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="several processes train on JAX only"),
]

ROOT = pathlib.Path(__file__).parents[2]
PATIENCE = 1800  # seconds; only a process that hangs takes so long, however busy the machine is


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(command, index, home, directory):
    """Starts one of two processes; its output goes to a file in the directory."""
    flags = os.environ["XLA_FLAGS"].replace("device_count=2", "device_count=1")
    environment = child_environment("jax", XLA_FLAGS=flags, KERAS_HOME=str(home), OMP_NUM_THREADS="1")
    output = open(directory / f"process-{index}.txt", "w")  # noqa: SIM115
    return subprocess.Popen(
        [sys.executable, *map(str, command)], cwd=ROOT, env=environment, stdout=output, stderr=output
    )


def printed(directory, index):
    return (directory / f"process-{index}.txt").read_text(encoding="utf-8", errors="replace")


def test_two_processes_train_the_weights_of_one(tmp_path, monkeypatch):
    port = free_port()
    commands = [(parallel_fit.__file__, port, index, tmp_path) for index in (0, 1)]
    children = [start(command, index, tmp_path, tmp_path) for index, command in enumerate(commands)]
    statuses = [child.wait(timeout=PATIENCE) for child in children]
    assert statuses == [0, 0], printed(tmp_path, 0) + printed(tmp_path, 1)
    expected = parallel_fit.fit("none", **parallel_fit.RUNS[parallel_fit.SOFT])
    for index in (0, 1):
        parallel_fit.assert_same(dict(np.load(tmp_path / f"soft {index}.npz")), expected)
    assert "Strategy: data_parallel, 2 replicas in 2 processes; global batch 8, local batch 4." in printed(tmp_path, 0)
    assert "Done." in printed(tmp_path, 0)
    assert "Strategy" not in printed(tmp_path, 1)
    page = Page((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    assert {"Confusion matrix", "Attention"} <= set(page.headings)
    assert "The run used stored outputs of its teacher" in page.text
    config = (tmp_path / "run" / "config.toml").read_text(encoding="utf-8")
    assert not any(word in config for word in ("coordinator", "num_processes", "process_id"))
    # The same run in one process reads the teacher that two processes trained, and the outputs that they stored.
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    options = [*parallel_fit.COMMAND, "--teacher-cache", tmp_path / "cache", "--output-dir", tmp_path / "alone"]
    stored = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("epoch-*")}
    assert train(*options) == 0
    assert stored == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("epoch-*")}
    one, two = (summary_of(tmp_path / name) for name in ("alone", "run"))
    assert two["student"]["loss"] == pytest.approx(one["student"]["loss"], rel=1e-5)
    assert two["teacher"]["accuracy"] == pytest.approx(one["teacher"]["accuracy"])
    assert two["epochs"] < parallel_fit.MAX_EPOCHS  # the patience ended both
    assert (two["epochs"], two["best_epoch"]["epoch"]) == (one["epochs"], one["best_epoch"]["epoch"])
    for name in ("student", "student_best"):
        of_two, of_one = (
            keras.saving.load_model(tmp_path / directory / f"{name}.keras", compile=False).get_weights()
            for directory in ("run", "alone")
        )
        for received, expected in zip(of_two, of_one, strict=True):
            np.testing.assert_allclose(received, expected, rtol=0, atol=1e-5 * max(np.abs(expected).max(), 0.1))


def test_when_one_process_is_killed_the_other_ends_with_a_message_and_both_resume(home, tmp_path):
    command = [short_script.__file__, "scripts/train.py", "--output-dir", tmp_path / "run"]
    settings = [*SHORT, "--epochs", "400", "--strategy", "auto", "--distillation", "none"]
    history, checkpoints = tmp_path / "run" / "history.csv", Checkpoints(tmp_path / "run")

    def start_both(*options):
        place = ["--coordinator", f"127.0.0.1:{free_port()}", "--num-processes", 2, "--process-id"]
        return [start([*command, *options, *place, index], index, home, tmp_path) for index in (0, 1)]

    def await_epoch(children, after):
        deadline = time.monotonic() + PATIENCE
        while num_lines(history) <= after:
            assert [child.poll() for child in children] == [None, None], printed(tmp_path, 0) + printed(tmp_path, 1)
            assert time.monotonic() < deadline
            time.sleep(0.2)

    children = start_both(*settings)
    await_epoch(children, after=1)  # the line of the names
    while not checkpoints.paths():  # a thread writes it after the row of the first epoch
        await_epoch(children, after=num_lines(history))
    children[1].send_signal(signal.SIGKILL)
    assert children[0].wait(timeout=PATIENCE) not in (0, None)
    if "another task died" not in printed(tmp_path, 0):  # JAX's own words, if its heartbeat ends the process first
        assert "lost the connection to another process" in printed(tmp_path, 0)
        assert "--resume" in printed(tmp_path, 0)
    children = start_both("--resume")
    await_epoch(children, after=num_lines(history))
    children[1].send_signal(signal.SIGUSR1)  # which stops both at the same step
    assert [child.wait(timeout=PATIENCE) for child in children] == [STOPPED, STOPPED]
    assert "resumed" in printed(tmp_path, 0)
    assert summary_of(tmp_path / "run")["steps"] > 2


def num_lines(file):
    return len(file.read_text(encoding="utf-8").splitlines()) if file.exists() else 0
