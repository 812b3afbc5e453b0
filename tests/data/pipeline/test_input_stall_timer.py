"""The time that training waits for data."""

import pytest

from keras_deit.data.pipeline import input_stall_timer as module
from keras_deit.data.pipeline.input_stall_timer import InputStallTimer

pytestmark = pytest.mark.backend_independent


@pytest.fixture
def clock(monkeypatch):
    """List with the time in seconds, which only the test moves on."""
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    return now


def test_the_time_until_each_batch_arrives_is_counted(clock):
    timer = InputStallTimer()

    def slow():
        for _ in range(3):
            clock[0] += 0.05
            yield 1

    batches = timer.timed(slow())
    assert next(batches) == 1
    assert timer.seconds == pytest.approx(0.05)
    assert list(batches) == [1, 1]
    assert timer.seconds == pytest.approx(0.15)


def test_the_time_that_the_consumer_takes_is_not_counted(clock):
    timer = InputStallTimer()
    for _ in timer.timed(range(3)):
        clock[0] += 0.05
    assert timer.seconds == 0


def test_the_clock_returns_the_count_that_a_graph_passes_on():
    timer = InputStallTimer()
    assert (timer.start(3), timer.stop(4)) == (3, 4)
