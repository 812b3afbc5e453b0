"""Clocks: the time of a function, and of several functions in turns."""

import statistics
import time

ROUND_SECONDS = 1.0  # a round repeats a function for about this long, so that the time of a short one is exact, too
MEDIAN_SECONDS = 0.3  # duration of the repetitions behind a median


def mean_seconds(function, repeats=1):
    """Calls a function several times.

    Args:
        function: Function without arguments that returns when its work is done.
        repeats: Number of calls.

    Returns:
        Mean seconds per call.
    """
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def median_seconds(function):
    """Calls a function once without timing it, and then repeatedly for 0.3 seconds.

    Args:
        function: Function without arguments that returns when its work is done.

    Returns:
        Median seconds per call.
    """
    function()
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < MEDIAN_SECONDS:
        times.append(mean_seconds(function))
    return statistics.median(times)


def seconds_in_turns(functions, rounds):
    """Times several functions in turns, so that changes in the machine's load affect all of them.

    Args:
        functions: Dictionary from names to functions that take the number of repetitions and return when the work is done.
        rounds: Number of rounds. Each round times every function; the order is reversed in every second round.

    Returns:
        Dictionary from names to lists of mean seconds per call, one value per round.
    """
    once = {name: _seconds_each(function, 1) for name, function in functions.items()}
    repeats = {name: max(1, round(ROUND_SECONDS / seconds)) for name, seconds in once.items()}
    seconds = {name: [] for name in functions}
    order = list(functions)
    for _ in range(rounds):
        for name in order:
            seconds[name].append(_seconds_each(functions[name], repeats[name]))
        order.reverse()
    return seconds


def _seconds_each(function, times):
    return mean_seconds(lambda: function(times)) / times
