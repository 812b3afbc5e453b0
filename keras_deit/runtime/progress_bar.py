"""The progress of a long computation: a bar on a terminal, and lines in a file."""

import sys
import time

from keras_deit.runtime.optional import require
from keras_deit.runtime.printing import format_duration

LINE_EVERY = 60.0  # seconds


def progress_bar(total, title, unit, shown=True):
    """Makes a progress bar on standard error; if that is no terminal, it prints lines instead, at most one a minute.

    Args:
        total: Number of items.
        title: What is computed.
        unit: What an item is.
        shown: Whether to show anything.

    Returns:
        A context manager with the methods `update(number=1)` and `reset()`, as that of tqdm.

    Raises:
        ImportError: If tqdm is not installed.
    """
    tqdm = require("tqdm", extra="run", purpose="The progress bar")
    if shown and not sys.stderr.isatty():
        return _Lines(total, title, unit)
    return tqdm.tqdm(total=total, desc=title, unit=unit, disable=not shown)


class _Lines:
    def __init__(self, total, title, unit):
        self._total, self._title, self._unit = total, title, unit
        self._printed_at = time.perf_counter()
        self.reset()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def reset(self):
        self._done, self._began = 0, time.perf_counter()

    def update(self, number=1):
        self._done += number
        now = time.perf_counter()
        if now - self._printed_at >= LINE_EVERY:
            self._printed_at = now
            left = (now - self._began) / self._done * (self._total - self._done)
            done = f"{self._done:,} of {self._total:,} {self._unit}"
            print(f"{self._title}: {done}, {format_duration(left)} left", file=sys.stderr, flush=True)
