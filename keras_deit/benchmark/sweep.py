"""The step of this package over one dimension: image size, variant or batch size."""

import dataclasses

DIMENSIONS = ("image_size", "variant", "batch_size")


@dataclasses.dataclass(frozen=True)
class Series:
    """The times of one implementation over the values of a dimension.

    Attributes:
        mode: As in `Setting`.
        name: Name of the implementation and of the backend.
        values: List of the values of the dimension.
        flops: List of floating-point operations per step.
        seconds: List of median seconds per step.
    """

    mode: str
    name: str
    values: list
    flops: list
    seconds: list

    def relative_costs(self):
        """Divides the time per operation by the smallest one of the series.

        Returns:
            List of floats of at least 1. Values near each other mean that the time grows as the operations do.
        """
        costs = [seconds / flops for seconds, flops in zip(self.seconds, self.flops, strict=True)]
        return [cost / min(costs) for cost in costs]


def by_series(measurements, dimension):
    """Sorts measurements into series.

    Args:
        measurements: List of `Measurement` that differ in one dimension.
        dimension: One of `DIMENSIONS`.

    Returns:
        List of `Series`.
    """
    points = {}
    for measurement in measurements:
        for timing in measurement.timings:
            key = measurement.setting.mode, f"{timing.name} ({measurement.backend})"
            points.setdefault(key, []).append((value_of(measurement.setting, dimension), timing.flops, timing.median))
    return [Series(*key, *map(list, zip(*rows, strict=True))) for key, rows in points.items()]


def value_of(setting, dimension):
    """Returns the value that a `Setting` has in a dimension."""
    return setting.architecture["image_size"] if dimension == "image_size" else getattr(setting, dimension)
