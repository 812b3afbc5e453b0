"""Masks of patches."""

import numpy as np
import pytest

from keras_deit.data import random_masks

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize(("ratio", "blocks"), [(0.6, 30), (0.5, 25), (0.0, 0), (1.0, 49)])
def test_the_masked_fraction_is_reached_in_whole_blocks(ratio, blocks):
    masks = random_masks(20, grid=(14, 14), mask_ratio=ratio, rng=0)
    assert masks.dtype == bool
    assert masks.shape == (20, 196)
    np.testing.assert_array_equal(masks.sum(axis=1), 4 * blocks)
    squares = masks.reshape(20, 7, 2, 7, 2)
    np.testing.assert_array_equal(squares.any(axis=(2, 4)), squares.all(axis=(2, 4)))


def test_rounding_up_ignores_the_error_of_the_last_digit():
    assert random_masks(1, grid=(20, 20), mask_ratio=0.55, rng=0).sum() == 4 * 55  # 100 * 0.55 is 55.000000000000007


def test_every_patch_is_equally_often_masked():
    masks = random_masks(20_000, grid=(4, 6), mask_ratio=0.5, block_size=1, rng=1)
    np.testing.assert_allclose(masks.mean(axis=0), 0.5, atol=4 * 0.5 / 20_000**0.5)
    assert len(np.unique(masks[:100], axis=0)) > 90


def test_a_seed_repeats_the_masks_and_none_does_not():
    first = random_masks(8, grid=(14, 14), rng=3)
    np.testing.assert_array_equal(random_masks(8, grid=(14, 14), rng=3), first)
    assert (random_masks(8, grid=(14, 14)) != random_masks(8, grid=(14, 14))).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(grid=(7, 7)), "divide the grid"),
        (dict(grid=(4, 4), block_size=0), "divide the grid"),
        (dict(grid=(4, 4), mask_ratio=2), "0..1"),
    ],
)
def test_impossible_masks_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        random_masks(1, **options)
