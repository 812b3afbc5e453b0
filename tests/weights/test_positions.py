"""Positions as PyTorch resizes them."""

import numpy as np
import pytest

from keras_deit.weights.positions import resize_positions
from tests.weights.checkpoints import goldens


@pytest.mark.parametrize("target", [(7, 7), (3, 3), (6, 9)])
def test_resizing_equals_pytorchs(target):
    resized = resize_positions(goldens()["positions"], (4, 4), target)
    np.testing.assert_allclose(resized, goldens()[f"positions/{target[0]}x{target[1]}"], atol=1e-5)
    assert resized.dtype == np.float32


def test_the_same_size_is_left_alone():
    positions = goldens()["positions"]
    assert resize_positions(positions, (4, 4), (4, 4)) is positions
