"""The limits of the device, and the shortest time of a part."""

import pytest

from keras_deit.benchmark import roofline
from keras_deit.benchmark.costs import Part


def test_speeds_are_those_of_the_timed_steps(monkeypatch):
    monkeypatch.setattr(roofline, "MATRIX_SIZE", {"cpu": 8, "gpu": 8})
    monkeypatch.setattr(roofline, "ARRAY_BYTES", {"cpu": 64, "gpu": 64})
    monkeypatch.setattr(roofline, "seconds_in_turns", lambda steps, rounds: {"product": [1.0, 2.0], "sum": [4.0, 8.0]})
    assert roofline.measure_limits("float32", rounds=2) == ([1024, 512], [16, 8])


@pytest.mark.backend_independent
@pytest.mark.parametrize(("bandwidth", "seconds"), [(1e9, 4.0), (1e8, 10.0)])
def test_the_longer_of_both_times_counts(bandwidth, seconds):
    part = Part("MLP", flops=8e9, num_bytes=1e9, is_product=True)
    assert roofline.least_seconds(part, peak_flops=2e9, bandwidth=bandwidth) == seconds
