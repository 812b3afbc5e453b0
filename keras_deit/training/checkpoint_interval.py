"""When a run writes its next checkpoint."""

import dataclasses
import re
import time

AUTO = "auto"
AUTO_SHARE = 0.01  # of the time of a run, at most, for the writing of checkpoints
AUTO_FIRST, AUTO_LEAST = 30.0, 10.0  # seconds to the first checkpoint, and at least between two
_UNITS = {"s": 1, "min": 60, "h": 3600}


@dataclasses.dataclass
class CheckpointInterval:
    """When a run writes its next checkpoint.

    Attributes:
        steps: Number of steps between two checkpoints; None means that the time decides.
        seconds: Seconds between two checkpoints; None with `steps` None means automatic: the checkpoints take at most one
            percent of the time, as measured.
    """

    steps: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text):
        """Reads an interval.

        Args:
            text: `"auto"`, a number of steps, or a time in `s`, `min` or `h`.

        Returns:
            A `CheckpointInterval`.

        Raises:
            ValueError: If it is something else.

        Example:

        >>> CheckpointInterval.parse("10min").seconds, CheckpointInterval.parse("500").steps
        (600.0, 500)
        """
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h)", text)
        if match and float(match[1]) > 0:
            return cls(seconds=float(match[1]) * _UNITS[match[2]])
        if re.fullmatch(r"0*[1-9]\d*", text):
            return cls(steps=int(text))
        if text == AUTO:
            return cls()
        raise ValueError(f"Expected auto, a number of steps, or a time such as 30s, 10min or 2h. Received: {text!r}")

    def begin(self, step):
        """Counts from a step, at the beginning of the training."""
        self._step, self._since, self._cost = step, time.perf_counter(), None

    def wrote(self, step, seconds):
        """Counts from a checkpoint.

        Args:
            step: Its step.
            seconds: Time that the checkpoint took, in the training and beside it.
        """
        self._step, self._since, self._cost = step, time.perf_counter(), seconds

    def is_due(self, step, at_end_of_epoch=False):
        """Whether a checkpoint is due after a step; the automatic interval begins with the end of the first epoch."""
        if self.steps:
            return step // self.steps > self._step // self.steps
        passed = time.perf_counter() - self._since
        if self.seconds:
            return passed >= self.seconds
        if self._cost is None:
            return at_end_of_epoch or passed >= AUTO_FIRST
        return passed >= max(AUTO_LEAST, self._cost / AUTO_SHARE)


def is_interval(text):
    """Whether a text is an interval, see `CheckpointInterval.parse`."""
    try:
        CheckpointInterval.parse(text)
    except ValueError:
        return False
    return True
