"""A model that is small enough to be timed within a test."""

import pytest

from keras_deit.benchmark import timing
from keras_deit.benchmark.setting import Setting

TINY = dict(image_size=32, patch_size=16, hidden_dim=12, num_layers=1, num_heads=3, distilled=True)


@pytest.fixture(autouse=True)
def _one_call_per_round(monkeypatch):
    monkeypatch.setattr(timing, "ROUND_SECONDS", 0)


@pytest.fixture
def make_setting():
    """Returns a function that makes a `Setting` of the tiny model."""

    def make(mode="inference", precision="float32", batch_size=2, variant="tiny", **overrides):
        return Setting(variant, mode, batch_size, precision, {**TINY, **overrides})

    return make
