"""The time that training waits for data."""

import time

import numpy as np


class InputStallTimer:
    """Measures the time that the consumer of batches waits for them.

    Attributes:
        seconds: Seconds waited so far.
    """

    def __init__(self):
        self.seconds = 0.0
        self._began = None

    def start(self, count=0):
        """Starts the clock when a batch is requested. Returns `count`, since a node of a `tf.data` graph returns a value."""
        self._began = time.perf_counter()
        return np.int64(count)

    def stop(self, count=0):
        """Stops the clock when the batch has arrived, and returns `count`."""
        self.seconds += time.perf_counter() - self._began
        return np.int64(count)

    def timed(self, batches):
        """Yields the elements of an iterable and measures the time that each takes to arrive."""
        batches = iter(batches)
        while True:
            self.start()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self.stop()
            yield batch
