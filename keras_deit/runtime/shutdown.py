"""Stops Python code in TensorFlow's threads before the interpreter exits.

At exit the interpreter destroys datasets that are still referenced, for example by the traceback of an error. It waits for a
dataset's threads while these wait for the interpreter to run their Python code, so the process would never end.
"""

import atexit
import contextlib
import functools
import threading
import time

QUIET_SECONDS = 1.0  # after so long without a call, no further calls are expected
MAX_WAIT_SECONDS = 10.0

_is_exiting = threading.Event()
_lock = threading.Lock()
_calls = {"running": 0, "last": -QUIET_SECONDS}


def until_exit(stream):
    """Wraps a function that returns an iterator; the iterator then stops when the interpreter exits.

    Args:
        stream: Function without arguments that returns an iterator.

    Returns:
        Function without arguments that returns an iterator of the same values.

    Example:

    >>> list(until_exit(lambda: iter("ab"))())
    ['a', 'b']
    """

    def stream_until_exit():
        values = iter(stream())
        while not _is_exiting.is_set():
            with _running_call():
                try:
                    value = next(values)
                except StopIteration:
                    return
            yield value

    return stream_until_exit


def unless_exiting(function):
    """Wraps a function, which then raises a RuntimeError instead of running when the interpreter exits.

    Args:
        function: Any function of positional arguments.

    Returns:
        The wrapped function.

    Example:

    >>> unless_exiting(len)("ab")
    2
    """

    @functools.wraps(function)
    def called(*arguments):
        if _is_exiting.is_set():
            raise RuntimeError("The interpreter is exiting.")
        with _running_call():
            return function(*arguments)

    return called


@contextlib.contextmanager
def _running_call():
    with _lock:
        _calls["running"] += 1
    try:
        yield
    finally:
        with _lock:
            _calls["running"] -= 1
            _calls["last"] = time.monotonic()


@atexit.register
def _wait_for_calls():
    _is_exiting.set()
    deadline = time.monotonic() + MAX_WAIT_SECONDS
    while time.monotonic() < deadline and (_calls["running"] or time.monotonic() - _calls["last"] < QUIET_SECONDS):
        time.sleep(0.01)
