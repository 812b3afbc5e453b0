"""How fast a run trains, and how long it goes on."""

import time

FORWARD_SHARE = 1 / 3  # of the time of a training step, until a validation is measured


class Pace:
    """Measures the steps and validations of a training, and estimates the time left.

    The first step, which includes compilation, is left out. All other time between two steps counts, such as that of
    writing checkpoints, but for the validations, which are measured on their own. An epoch counts half as much as the next
    one, so that the figures follow a change of speed.

    Args:
        batch_size: Number of images in a training batch, over all replicas.
        test_images: Number of images of a validation.
        clock: Function that returns the time in seconds.

    Example:

    >>> times = iter([60.0, 61.0, 62.0])
    >>> pace = Pace(batch_size=8, test_images=24, clock=lambda: next(times))
    >>> for _ in range(3):
    ...     pace.end_step()
    >>> pace.images_per_second, pace.seconds_left(steps=10, validations=2)
    (8.0, 12.0)
    """

    def __init__(self, batch_size, test_images, clock=time.perf_counter):
        self.batch_size = batch_size
        self.test_images = test_images
        self._clock = clock
        self._last = None  # end of the last step
        self._seconds, self._steps = 0.0, 0.0
        self._validations = 0
        self._validation_began = self._validation_seconds = None

    def begin(self):
        """Marks the beginning of a call of `fit`: the time since an earlier call does not count."""
        if self._last is not None:
            self._last = self._clock()

    def end_step(self):
        """Marks the end of a training step."""
        now = self._clock()
        if self._last is not None:
            self._seconds += now - self._last
            self._steps += 1
        self._last = now

    def begin_validation(self):
        """Marks the beginning of a validation."""
        self._validation_began = self._clock()

    def end_validation(self):
        """Marks the end of a validation."""
        seconds = self._clock() - self._validation_began
        self._last += seconds  # the validation is no part of the next step
        self._validations += 1
        is_first_compiled = self._validations > 2
        self._validation_seconds = (self._validation_seconds + seconds) / 2 if is_first_compiled else seconds

    def end_epoch(self):
        """Lets the steps so far count half."""
        self._seconds, self._steps = self._seconds / 2, self._steps / 2

    @property
    def measured_seconds(self):
        """Seconds that the figures rest on."""
        return self._seconds

    @property
    def seconds_per_step(self):
        """Mean seconds of a training step; None before the second step ends."""
        return self._seconds / self._steps if self._steps else None

    @property
    def images_per_second(self):
        """Mean images per second of training; None before the second step ends."""
        return self.batch_size / self.seconds_per_step if self._seconds else None

    @property
    def validation_seconds(self):
        """Seconds of a validation.

        The first validation includes compilation. A batch of it takes at most as long as a training step.
        """
        at_most = self.seconds_per_step * self.test_images / self.batch_size
        if not self._validations:
            return at_most * FORWARD_SHARE
        return min(self._validation_seconds, at_most) if self._validations == 1 else self._validation_seconds

    def seconds_left(self, steps, validations):
        """Estimates the time that steps and validations take.

        Args:
            steps: Number of steps that are left.
            validations: Number of validations that are left.

        Returns:
            Float, or None before the second step ends.
        """
        if self.seconds_per_step is None:
            return None
        return steps * self.seconds_per_step + validations * self.validation_seconds
