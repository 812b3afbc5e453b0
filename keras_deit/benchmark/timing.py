"""Clocks: the time of a function, and of several functions in turns."""

import statistics
import time

ROUND_SECONDS = 0.2  # a round repeats a function for about this long, so that the time of a short one is exact, too
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
        functions: Dictionary from names to functions without arguments.
        rounds: Number of rounds. Each round times every function; the order is reversed in every second round.

    Returns:
        Dictionary from names to lists of mean seconds per call, one value per round.
    """
    repeats = {name: max(1, round(ROUND_SECONDS / mean_seconds(function))) for name, function in functions.items()}
    seconds = {name: [] for name in functions}
    order = list(functions)
    for _ in range(rounds):
        for name in order:
            seconds[name].append(mean_seconds(functions[name], repeats[name]))
        order.reverse()
    return seconds
