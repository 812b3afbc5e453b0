"""When a run writes its next checkpoint."""

import pytest

from keras_deit.training import checkpoint_interval
from keras_deit.training.checkpoint_interval import CheckpointInterval, is_interval


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [1000.0]
    monkeypatch.setattr(checkpoint_interval.time, "perf_counter", lambda: now[0])
    return now


def begun(text, step=0):
    interval = CheckpointInterval.parse(text)
    interval.begin(step)
    return interval


def test_an_interval_in_steps_counts_from_the_beginning_of_the_run():
    interval = begun("500", step=730)  # a resumed run
    assert [step for step in (731, 999, 1000) if interval.is_due(step)] == [1000]
    interval.wrote(1000, seconds=9.0)
    assert [step for step in (1001, 1499, 1500, 1501) if interval.is_due(step)] == [1500, 1501]


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("10min", 600), ("1.5 h", 5400)])
def test_an_interval_in_time_counts_from_the_last_checkpoint(clock, text, seconds):
    interval = begun(text)
    clock[0] += seconds - 1
    assert not interval.is_due(1)
    clock[0] += 1
    assert interval.is_due(1)
    interval.wrote(1, seconds=0.1)
    assert not interval.is_due(2)


def test_automatic_checkpoints_take_at_most_one_percent_of_the_time(clock):
    interval = begun("auto")
    clock[0] += 5
    assert not interval.is_due(3)
    assert interval.is_due(3, at_end_of_epoch=True)  # a first one, whose cost is measured
    interval.wrote(3, seconds=2.0)
    clock[0] += 199
    assert not interval.is_due(4, at_end_of_epoch=True)
    clock[0] += 1
    assert interval.is_due(4)


@pytest.mark.parametrize("text", ["", "0", "-5", "1.5", "10m", "0s", "often"])
def test_other_texts_are_no_intervals(text):
    assert not is_interval(text)
