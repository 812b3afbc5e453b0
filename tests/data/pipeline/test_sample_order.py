"""The order of the samples of an epoch, against that of the official sampler."""

import numpy as np
import pytest

from keras_deit.data.pipeline.sample_order import num_samples, rows_of_shard, sample_indices

pytestmark = pytest.mark.backend_independent


def official(order, repeats, shard, num_shards):
    """The steps of the official sampler: repeat, interleave, cut."""
    repeated = np.repeat(order, repeats)
    selected = int(np.floor(len(order) // 256 * 256 / num_shards))
    return repeated[shard::num_shards][:selected]


@pytest.mark.parametrize("num_shards", [1, 2, 4])
def test_repeats_are_cut_and_come_in_the_batches_of_the_official_sampler(num_shards):
    order = sample_indices(np.arange(1000), 1000, seed=3, epoch=5)[0]
    assert sorted(order) == list(range(1000))
    theirs = [official(order, 3, shard, num_shards) for shard in range(num_shards)]
    total, batch_size = num_samples(1000, repeats=3), 32
    assert total == sum(map(len, theirs))
    for first in range(0, total, batch_size):
        batch = slice(first // num_shards, (first + batch_size) // num_shards)  # of each of their processes
        indices, copies = sample_indices(np.arange(first, first + batch_size), 1000, seed=3, epoch=5, repeats=3)
        np.testing.assert_array_equal(sorted(indices), sorted(np.concatenate([shard[batch] for shard in theirs])))
        assert set(copies) == {0, 1, 2}


def test_no_sample_comes_twice():
    pairs = set(
        zip(*sample_indices(np.arange(num_samples(1000, repeats=3)), 1000, seed=0, epoch=0, repeats=3), strict=True)
    )
    assert len(pairs) == 768
    assert len({index for index, _ in pairs}) == 256


@pytest.mark.parametrize(("batch_size", "num_shards"), [(8, 1), (8, 2), (12, 3), (9, 3), (4, 4)])
def test_every_row_of_a_batch_is_of_one_shard(batch_size, num_shards):
    rows = [rows_of_shard(batch_size, shard, num_shards) for shard in range(num_shards)]
    assert {len(shard) for shard in rows} == {batch_size // num_shards}
    assert sorted(np.concatenate(rows)) == list(range(batch_size))


def test_without_repeats_every_image_comes_once():
    assert num_samples(100) == 100
    assert num_samples(100, repeats=3) == 100  # too few images to be cut
    assert sorted(sample_indices(np.arange(100), 100, seed=0, epoch=0)[0]) == list(range(100))


def test_any_position_is_found_without_the_positions_before_it():
    whole = sample_indices(np.arange(300), 1000, seed=1, epoch=2, repeats=3)
    part = sample_indices(np.arange(123, 200), 1000, seed=1, epoch=2, repeats=3)
    for one, two in zip(whole, part, strict=True):
        np.testing.assert_array_equal(one[123:200], two)


def test_every_epoch_and_every_seed_has_another_order():
    orders = [tuple(sample_indices(np.arange(50), 50, seed, epoch)[0]) for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(orders)) == 4
    assert orders[0] == tuple(sample_indices(np.arange(50), 50, 0, 0)[0])
