"""Python code that TensorFlow's threads run comes to rest before the interpreter ends.

A dataset that something still refers to then, such as the traceback of an error, is taken down by the interpreter, waits for
its threads, and these wait for the interpreter: the process would stay for ever.
"""

import atexit
import contextlib
import functools
import threading
import time

GRACE_SECONDS = 0.2  # without a call, after which no more are expected
MOST_SECONDS = 10.0

_ending = threading.Event()
_lock = threading.Lock()
_calls = {"running": 0, "last": -GRACE_SECONDS}


def until_exit(stream):
    """Makes an iterator end when the interpreter is about to.

    Args:
        stream: Function that gives an iterator.

    Returns:
        Such a function.

    Example:

    >>> list(until_exit(lambda: iter("ab"))())
    ['a', 'b']
    """

    def stream_until_exit():
        values = iter(stream())
        while not _ending.is_set():
            with _counted():
                try:
                    value = next(values)
                except StopIteration:
                    return
            yield value

    return stream_until_exit


def unless_exiting(function):
    """Makes a function fail at once when the interpreter is about to end."""

    @functools.wraps(function)
    def called(*arguments):
        if _ending.is_set():
            raise RuntimeError("The interpreter is ending.")
        with _counted():
            return function(*arguments)

    return called


@contextlib.contextmanager
def _counted():
    with _lock:
        _calls["running"] += 1
    try:
        yield
    finally:
        with _lock:
            _calls["running"] -= 1
            _calls["last"] = time.monotonic()


@atexit.register
def _rest():
    _ending.set()
    deadline = time.monotonic() + MOST_SECONDS
    while time.monotonic() < deadline and (_calls["running"] or time.monotonic() - _calls["last"] < GRACE_SECONDS):
        time.sleep(0.01)
