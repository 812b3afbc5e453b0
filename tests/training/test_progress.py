"""The progress of a run on the terminal."""

import pytest

from keras_deit.training.position import Position
from keras_deit.training.progress import Progress, format_duration
from tests.training.small_fit import fit

pytest.importorskip("tqdm", reason="the progress bar is tqdm's")


def test_every_epoch_prints_a_line_with_the_time_left(capsys):
    position = Position(steps_per_epoch=4)
    fit([position, Progress("student", 3, position)])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("student: epoch")]
    assert len(lines) == 3
    assert lines[0].startswith("student: epoch 1/3  loss 0.000")
    assert lines[2].endswith("0 s left")


def test_one_progress_serves_several_fits(capsys):
    position = Position(steps_per_epoch=4)
    progress = Progress("teacher", 2, position)
    for epoch in range(2):
        fit([position, progress], epochs=epoch + 1, initial_epoch=epoch)
    lines = capsys.readouterr().out.splitlines()
    assert [line[: len("teacher: epoch 1/2")] for line in lines] == ["teacher: epoch 1/2", "teacher: epoch 2/2"]
    assert lines[1].endswith("0 s left")


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.7, "1 min 0 s"), (3700, "1 h 1 min")])
def test_durations_are_readable(seconds, text):
    assert format_duration(seconds) == text
