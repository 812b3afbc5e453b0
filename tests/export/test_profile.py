"""The cost of an export: times of calls, operators and stored weights."""

import pytest

from keras_deit.export.profile import Latency, Profile, latency, model_latencies, profile
from keras_deit.export.serving import serving_model
from tests.export.students import digits, student

pytestmark = pytest.mark.backend_independent
FLOAT, HYBRID = "float", "quantized with dynamic ranges"


class FakeExport:
    """An export that takes as many seconds as it gets images."""

    def __init__(self, batch_size):
        self.input_shape = (batch_size, 32, 32, 3)
        self.runtime = self

    def seconds(self, images, runs):
        return [float(len(images))] * runs

    def operators(self):
        return [
            {"operator": "FULLY_CONNECTED", "arithmetic": HYBRID, "count": 9},
            {"operator": "ADD", "arithmetic": FLOAT, "count": 4},
            {"operator": "MUL", "arithmetic": FLOAT, "count": 3},
        ]

    def weight_bytes(self):
        return {"int8": 100, "float32": 8}


def test_a_latency_is_the_median_with_the_10th_and_90th_percentile():
    found = latency([0.001 * value for value in range(101)], batch_size=4)
    assert (found.batch_size, found.runs) == (4, 101)
    assert (found.low, found.median, found.high) == pytest.approx((10, 50, 90))
    assert str(Latency(1, 12.345, 11, 15, 30)) == "12.35 ms (11.00 to 15.00)"


@pytest.mark.parametrize(("batch_size", "timed"), [(None, [1, 8]), (3, [3])])
def test_the_batches_are_those_that_the_export_takes(batch_size, timed):
    image = digits(1)[0][0]
    found = profile(FakeExport(batch_size), image, runs=2)
    assert [(one.batch_size, one.median) for one in found.latencies] == [(size, 1000 * size) for size in timed]
    assert found.weight_bytes == {"int8": 100, "float32": 8}
    assert found.arithmetic() == {HYBRID: 9, FLOAT: 7}
    assert isinstance(found, Profile)


def test_the_model_is_timed_in_keras():
    latencies = model_latencies(serving_model(student(num_layers=1)), digits(1)[0][0], runs=3)
    assert [(one.batch_size, one.runs) for one in latencies] == [(1, 3), (8, 3)]
    assert all(0 < one.low <= one.median <= one.high for one in latencies)
