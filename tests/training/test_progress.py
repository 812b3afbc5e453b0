"""The progress of a run on the terminal, or in a file."""

import io
import re
import time

import keras
import pytest

from keras_deit.training import progress as module
from keras_deit.training.pace import Pace
from keras_deit.training.position import Position
from keras_deit.training.progress import Progress
from tests.training.small_fit import fit

pytest.importorskip("tqdm", reason="the progress bar is tqdm's")
SCHEDULE = keras.optimizers.schedules.PiecewiseConstantDecay([3], [0.5, 0.25])  # from the fifth step on 0.25


def make(epochs, title="student", position=None, pace=None):
    position = position or Position(steps_per_epoch=4)
    return [position, Progress(title, epochs, position, pace or Pace(batch_size=2, test_images=8), SCHEDULE)]


class Slow(keras.callbacks.Callback):
    """Lets the first step take two seconds longer than all the others together."""

    def on_train_batch_begin(self, batch, logs=None):
        time.sleep(0 if self.model.optimizer.built else 2)


def test_every_epoch_prints_a_line_with_speed_learning_rate_and_time_left(capsys):
    fit([Slow(), *make(3)])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("student: epoch")]
    assert len(lines) == 3
    assert re.fullmatch(r"student: epoch 1/3  loss 0\.000  [\d,]+ images/s  learning rate 0\.5  [01] s left", lines[0])
    assert "  learning rate 0.25  " in lines[1]
    assert lines[2].endswith("0 s left")


def test_one_progress_serves_several_fits(capsys):
    callbacks = make(2, "teacher")
    for epoch in range(2):
        fit(callbacks, epochs=epoch + 1, initial_epoch=epoch)
    lines = capsys.readouterr().out.splitlines()
    assert [line[: len("teacher: epoch 1/2")] for line in lines] == ["teacher: epoch 1/2", "teacher: epoch 2/2"]
    assert lines[1].endswith("0 s left")


def test_long_epochs_have_lines_if_the_output_is_a_file(capsys, monkeypatch):
    monkeypatch.setattr(module, "FIRST_LINE", 0.0)
    monkeypatch.setattr(module, "LINE_EVERY", 0.0)
    fit(make(3), epochs=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "student: epoch 1/3, step 1/4",
        "student: epoch 1/3, step 2/4",
        "student: epoch 1/3, step 3/4",
        "student: epoch 1/3",
    ]
    assert "left" not in lines[0]  # the first step compiles
    assert re.fullmatch(r"student: .* 2/4  loss 0\.000  [\d,]+ images/s  learning rate 0\.5  \d+ s left", lines[1])


def test_lines_within_an_epoch_are_at_least_a_minute_apart(capsys, monkeypatch):
    seconds = iter(range(0, 10_000, 25))
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(seconds))
    pace = Pace(batch_size=2, test_images=8, clock=iter(range(10, 10_000, 10)).__next__)
    position = Position(steps_per_epoch=100)
    _, progress = make(1, position=position, pace=pace)
    progress.on_train_begin()
    for step in range(12):
        position.step = step + 1
        progress.on_train_batch_end(step, {"loss": 1.5})
    steps = re.findall(r"step (\d+)/100  loss 1\.500  0 images/s .* min \d+ s left", capsys.readouterr().out)
    assert steps == ["2", "5", "8", "11"]  # three steps take 75 seconds


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_a_bar_with_the_figures_and_a_file_has_no_carriage_return(monkeypatch, capsys):
    monkeypatch.setattr(module, "REFRESH_EVERY", 0.0)
    monkeypatch.setattr(module.sys, "stdout", Terminal())
    fit(make(2), epochs=2)
    shown = module.sys.stdout.getvalue()
    assert re.search(r"\rstudent:  50%.* 4/8 steps \[00:\d\d, \d s left, loss 0\.000, [\d,]+ images/s, ", shown)
    monkeypatch.undo()
    fit(make(2), epochs=2)
    printed = capsys.readouterr()
    assert "\r" not in printed.out + printed.err


def test_the_memory_of_a_gpu_is_shown(capsys, monkeypatch):
    monkeypatch.setattr(module, "gpu_peak_memory", lambda: 3 * 2**29)
    fit(make(1), epochs=1)
    assert "  GPU memory 1.50 GiB  " in capsys.readouterr().out
