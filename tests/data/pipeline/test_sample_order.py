"""The order of the samples of an epoch, against that of the official sampler."""

import numpy as np
import pytest

from keras_deit.data.pipeline.sample_order import num_samples, sample_indices

pytestmark = pytest.mark.backend_independent


def official(order, repeats, shard, num_shards):
    """The steps of the official sampler: repeat, interleave, cut."""
    repeated = np.repeat(order, repeats)
    selected = int(np.floor(len(order) // 256 * 256 / num_shards))
    return repeated[shard::num_shards][:selected]


@pytest.mark.parametrize("num_shards", [1, 2, 4])
def test_repeats_are_interleaved_and_cut_as_in_the_official_sampler(num_shards):
    order = sample_indices(0, 1000, 1000, seed=3, epoch=5)[0]
    assert sorted(order) == list(range(1000))
    for shard in range(num_shards):
        total = num_samples(1000, repeats=3, num_shards=num_shards)
        indices, copies = sample_indices(0, total, 1000, seed=3, epoch=5, repeats=3, shard=shard, num_shards=num_shards)
        np.testing.assert_array_equal(indices, official(order, 3, shard, num_shards))
        assert set(copies) == {0, 1, 2}


def test_no_sample_comes_twice():
    pairs = set()
    for shard in range(4):
        total = num_samples(1000, repeats=3, num_shards=4)
        pairs |= set(
            zip(*sample_indices(0, total, 1000, seed=0, epoch=0, repeats=3, shard=shard, num_shards=4), strict=True)
        )
    assert len(pairs) == 768
    assert len({index for index, _ in pairs}) == 256


def test_without_repeats_every_image_comes_once():
    assert num_samples(100) == 100
    assert num_samples(100, repeats=3) == 100  # too few images to be cut
    assert sorted(sample_indices(0, 100, 100, seed=0, epoch=0)[0]) == list(range(100))


def test_any_position_is_found_without_the_positions_before_it():
    whole = sample_indices(0, 300, 1000, seed=1, epoch=2, repeats=3, shard=1, num_shards=2)
    part = sample_indices(123, 200, 1000, seed=1, epoch=2, repeats=3, shard=1, num_shards=2)
    for one, two in zip(whole, part, strict=True):
        np.testing.assert_array_equal(one[123:200], two)


def test_every_epoch_and_every_seed_has_another_order():
    orders = [tuple(sample_indices(0, 50, 50, seed, epoch)[0]) for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(orders)) == 4
    assert orders[0] == tuple(sample_indices(0, 50, 50, 0, 0)[0])
