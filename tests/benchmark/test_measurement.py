"""Ratios and speeds of what was measured."""

import dataclasses
import json

import pytest

from keras_deit.benchmark.measurement import Measurement, Timing

pytestmark = pytest.mark.backend_independent


@pytest.fixture
def measurement(make_setting):
    timings = [
        Timing("keras_deit", [1.0, 2.0, 4.0], 6e9, memory=5),
        Timing("keras_hub", [4.0, 4.0, 4.0], 6e9, is_peer=True),
        Timing("timm", [2.0, 3.0, 3.0], 6e9, is_peer=True),
    ]
    matrix_product = Timing("matrix product", [2.0, 2.0, 5.0], 12e9)
    return Measurement(make_setting(), "torch", "cpu (2 cores)", timings, matrix_product, {"zeromodels": "no package"})


def test_the_best_peer_is_the_fastest_other_package(measurement):
    assert measurement.best_peer() is measurement.named("timm")
    assert dataclasses.replace(measurement, timings=measurement.timings[:1]).best_peer() is None
    assert measurement.named("transformers") is None


def test_speeds_are_divided_within_a_round(measurement):
    ours, _, timm = measurement.timings
    assert ours.speed_relative_to(timm).tolist() == [2.0, 1.5, 0.75]


def test_the_utilisation_is_a_fraction_of_the_matrix_products_speed(measurement):
    assert measurement.peak_flops == 6e9
    assert measurement.utilisation(measurement.timings[0]) == 0.5  # 6e9 operations in a median of 2 seconds


def test_a_measurement_is_the_same_after_json(measurement):
    assert Measurement.from_dict(json.loads(json.dumps(dataclasses.asdict(measurement)))) == measurement
