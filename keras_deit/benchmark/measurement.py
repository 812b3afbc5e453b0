"""What was measured: the times of several implementations of one step."""

import dataclasses
import statistics

import numpy as np

from keras_deit.benchmark.setting import Setting


@dataclasses.dataclass(frozen=True)
class Timing:
    """The step times of one implementation.

    Attributes:
        name: Name of the implementation.
        seconds: List of mean seconds per step, one value per round.
        flops: Floating-point operations per step.
        is_peer: Whether the implementation is of another package.
        memory: Peak memory of a process that runs the step alone, in bytes; None if it was not measured.
    """

    name: str
    seconds: list
    flops: float
    is_peer: bool = False
    memory: int | None = None

    @property
    def median(self):
        """Median seconds per step."""
        return statistics.median(self.seconds)

    def speed_relative_to(self, other):
        """Divides the time of another implementation by the time of this one.

        Args:
            other: `Timing` of the same rounds.

        Returns:
            Float array with one value per round. Above 1, this implementation is faster.
        """
        return np.array(other.seconds) / np.array(self.seconds)


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The timings of one setting on one backend, all in turns in one process.

    Attributes:
        setting: The `Setting`.
        backend: Name of the Keras backend.
        device: Name of the device.
        timings: List of `Timing`, this package's first.
        matrix_product: `Timing` of a large matrix product on the same backend, device and precision.
        left_out: Dictionary from the names of the implementations that could not run to the reason.
    """

    setting: Setting
    backend: str
    device: str
    timings: list
    matrix_product: Timing
    left_out: dict

    @classmethod
    def from_dict(cls, values):
        """Makes a measurement from the dictionary that `dataclasses.asdict` returns."""
        return cls(
            setting=Setting(**values["setting"]),
            backend=values["backend"],
            device=values["device"],
            timings=[Timing(**timing) for timing in values["timings"]],
            matrix_product=Timing(**values["matrix_product"]),
            left_out=values["left_out"],
        )

    @property
    def peak_flops(self):
        """Floating-point operations per second of the matrix product."""
        return self.matrix_product.flops / self.matrix_product.median

    def utilisation(self, timing):
        """Fraction of the matrix product's speed that an implementation reaches (model FLOPs utilisation, MFU)."""
        return timing.flops / timing.median / self.peak_flops

    def named(self, name):
        """The `Timing` of an implementation; None if there is none of this name."""
        return next((timing for timing in self.timings if timing.name == name), None)

    def best_peer(self):
        """The `Timing` of the fastest other package; None if there is no other package."""
        return min(
            (timing for timing in self.timings if timing.is_peer), key=lambda timing: timing.median, default=None
        )
