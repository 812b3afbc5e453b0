"""Resizing position embeddings, against PyTorch."""

import importlib.util

import numpy as np
import pytest

from keras_deit.weights.positions import resize_positions
from tests.weights.checkpoints import goldens


@pytest.mark.parametrize("target", [(7, 7), (3, 3), (6, 9)])
def test_resized_positions_equal_pytorchs(target):
    resized = resize_positions(goldens()["positions"], (4, 4), target)
    np.testing.assert_allclose(resized, goldens()[f"positions/{target[0]}x{target[1]}"], atol=1e-5)
    assert resized.dtype == np.float32


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the reference is PyTorch")
@pytest.mark.parametrize(("source", "target"), [((14, 14), (24, 24)), ((24, 24), (14, 14)), ((14, 14), (10, 18))])
def test_resized_positions_of_published_sizes_equal_pytorchs(source, target):
    import torch

    positions = np.random.default_rng(4).normal(size=(1, source[0] * source[1], 768)).astype("float32")
    grid = torch.from_numpy(positions.reshape(1, *source, 768)).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(grid, size=target, mode="bicubic", align_corners=False)
    expected = expected.permute(0, 2, 3, 1).reshape(1, -1, 768).numpy()
    np.testing.assert_allclose(resize_positions(positions, source, target), expected, atol=1e-5)


def test_positions_of_the_same_size_are_returned_unchanged():
    positions = goldens()["positions"]
    assert resize_positions(positions, (4, 4), (4, 4)) is positions
