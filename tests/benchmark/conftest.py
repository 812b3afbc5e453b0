"""A model that is small enough to be timed within a test, and packages that may be missing."""

import contextlib

import pytest

from keras_deit.benchmark import timing
from keras_deit.benchmark.setting import Setting

TINY = dict(image_size=32, patch_size=16, hidden_dim=12, num_layers=1, num_heads=3, distilled=True)


@contextlib.contextmanager
def skip_without_package():
    """Skips the test if a package in the block is missing, or if it needs a torchvision that fails on this machine."""
    try:
        yield
    except ImportError as error:
        pytest.skip(str(error))
    except RuntimeError as error:
        if "torchvision" not in str(error):  # torchvision's CUDA build fails without a GPU
            raise
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def _one_call_per_round(monkeypatch):
    monkeypatch.setattr(timing, "ROUND_SECONDS", 0)


@pytest.fixture
def make_setting():
    """Returns a function that makes a `Setting` of the tiny model."""

    def make(mode="inference", precision="float32", batch_size=2, variant="tiny", teacher="regnety_002", **overrides):
        return Setting(variant, mode, batch_size, precision, {**TINY, **overrides}, teacher)

    return make
