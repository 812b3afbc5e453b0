"""Measurements over one dimension, as series."""

import pytest

from keras_deit.benchmark.measurement import Measurement, Timing
from keras_deit.benchmark.sweep import by_series, value_of

pytestmark = pytest.mark.backend_independent


def test_the_points_of_each_mode_and_backend_are_a_series(make_setting):
    def measure(mode, batch_size, seconds):
        timing = Timing("keras_deit", [seconds], 1e9 * batch_size)
        setting = make_setting(mode, batch_size=batch_size)
        return Measurement(setting, "jax", "cpu", [timing], Timing("matrix product", [1.0], 1e9), {})

    measurements = [measure("inference", 2, 1.0), measure("inference", 4, 3.0), measure("training", 2, 7.0)]
    inference, training = by_series(measurements, "batch_size")
    assert (inference.mode, inference.name) == ("inference", "keras_deit (jax)")
    assert (inference.values, inference.flops, inference.seconds) == ([2, 4], [2e9, 4e9], [1.0, 3.0])
    assert inference.relative_costs() == [1.0, 1.5]
    assert (training.mode, training.values) == ("training", [2])


def test_the_value_is_that_of_the_dimension(make_setting):
    setting = make_setting(batch_size=3, variant="deit_s", image_size=64)
    assert [value_of(setting, name) for name in ("image_size", "variant", "batch_size")] == [64, "deit_s", 3]
