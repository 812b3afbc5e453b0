"""The time that training waits for data."""

import time

import pytest

from keras_deit.data.pipeline.input_stall_timer import InputStallTimer

pytestmark = pytest.mark.backend_independent


def test_the_time_until_each_batch_arrives_is_counted():
    timer = InputStallTimer()

    def slow():
        for _ in range(3):
            time.sleep(0.05)
            yield 1

    batches = timer.timed(slow())
    assert next(batches) == 1
    assert 0.04 < timer.seconds < 0.5
    assert list(batches) == [1, 1]
    assert timer.seconds > 0.14


def test_the_time_that_the_consumer_takes_is_not_counted():
    timer = InputStallTimer()
    for _ in timer.timed(range(3)):
        time.sleep(0.05)
    assert timer.seconds < 0.05


def test_the_clock_returns_the_count_that_a_graph_passes_on():
    timer = InputStallTimer()
    assert (timer.start(3), timer.stop(4)) == (3, 4)
