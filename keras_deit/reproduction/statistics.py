"""Means over seeds with their 95 % intervals."""

import dataclasses
import math

import numpy as np

from keras_deit.runtime.optional import require

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % interval of Student's t distribution.

    Attributes:
        mean: Mean of the values.
        half_width: Half the width of the interval; NaN for a single value.
        count: Number of values.
    """

    mean: float
    half_width: float
    count: int

    @property
    def low(self):
        """Lower end of the interval."""
        return self.mean - self.half_width

    @property
    def high(self):
        """Upper end of the interval."""
        return self.mean + self.half_width


def estimate(values):
    """Estimates a mean.

    Args:
        values: Floats, one for each seed.

    Returns:
        An `Estimate`.

    Example:

    >>> found = estimate([0.70, 0.72, 0.74])
    >>> round(found.mean, 3), round(found.half_width, 4)
    (0.72, 0.0497)
    """
    values = np.asarray(values, float)
    if len(values) < 2:
        return Estimate(float(values.mean()), math.nan, len(values))
    stats = require("scipy.stats", extra="run", purpose="The intervals")
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, df=len(values) - 1)
    return Estimate(float(values.mean()), float(quantile * values.std(ddof=1) / math.sqrt(len(values))), len(values))


def paired_difference(values, others):
    """Estimates the mean difference of two conditions that share their seeds.

    Args:
        values, others: Dictionaries from seeds to floats. Seeds that only one of them has are left out.

    Returns:
        An `Estimate` of `values - others`; None if there is no common seed.
    """
    common = sorted(values.keys() & others.keys())
    return estimate([values[seed] - others[seed] for seed in common]) if common else None
