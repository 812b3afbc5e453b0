"""Mean, median and turns, with a clock that the test sets."""

import pytest

from keras_deit.benchmark import timing


@pytest.fixture
def clock(monkeypatch):
    """A clock that only moves by `clock.sleep(seconds)`."""

    class Clock:
        now = 0.0

        def perf_counter(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_the_mean_is_per_call(clock):
    durations = iter([1.0, 2.0, 6.0])
    assert timing.mean_seconds(lambda: clock.sleep(next(durations)), repeats=3) == 3


def test_the_median_leaves_out_the_first_call(clock):
    durations = iter([9.0, 0.1, 0.1, 0.3])  # the last three fill the 0.3 seconds
    assert timing.median_seconds(lambda: clock.sleep(next(durations))) == pytest.approx(0.1)


def test_turns_alternate_in_order(clock):
    turns = []

    def record(name, seconds, times):
        turns.append(name)
        clock.sleep(seconds * times)

    functions = {
        "first": lambda times: record("first", 1.0, times),
        "second": lambda times: record("second", 2.0, times),
    }
    assert timing.seconds_in_turns(functions, rounds=2) == {"first": [1, 1], "second": [2, 2]}
    assert turns[-4:] == ["first", "second", "second", "first"]


def test_a_short_function_is_repeated_within_a_round(clock, monkeypatch):
    monkeypatch.setattr(timing, "ROUND_SECONDS", 0.2)
    calls = []
    timing.seconds_in_turns({"short": lambda times: (calls.append(times), clock.sleep(0.01 * times))}, rounds=2)
    assert calls == [1, 20, 20]  # the first call measures how often to repeat
