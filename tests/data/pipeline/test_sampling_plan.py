"""The samples of every batch."""

import dataclasses
import itertools

import numpy as np
import pytest

from keras_deit.data import Augmentation
from keras_deit.data.pipeline.sampling_plan import EvaluationPlan, SamplingPlan

pytestmark = pytest.mark.backend_independent


def test_an_epoch_has_every_image_once_and_the_next_turn_another_order():
    plan = SamplingPlan(10, 5, (8, 8), steps=4)
    (one, _), (two, _), (three, copies), _ = (plan.samples(0, batch) for batch in range(4))
    assert sorted([*one, *two]) == list(range(10))
    assert one.tolist() != three.tolist()
    assert set(copies) == {1}  # other copies, which are augmented differently


@pytest.mark.parametrize(("num_shards", "steps"), [(1, None), (2, None), (3, 9), (6, None)])
@pytest.mark.parametrize("batch_size", [12, 18])
def test_the_shards_make_up_the_batch_of_one_process(num_shards, steps, batch_size):
    augmentation = Augmentation(mixup=0.8, repeats=3)
    whole = SamplingPlan(64, batch_size, (8, 8), augmentation, seed=1, steps=steps)
    options = dict(augmentation=augmentation, seed=1, steps=steps, num_shards=num_shards)
    shards = [SamplingPlan(64, batch_size // num_shards, (8, 8), shard=shard, **options) for shard in range(num_shards)]
    assert {shard.num_batches for shard in shards} == {whole.num_batches}
    for batch in range(whole.num_batches):
        expected = np.stack(whole.samples(1, batch), axis=1).tolist()
        assert np.stack(shards[-1].of_one_process().samples(1, batch), axis=1).tolist() == expected
        partners = dict(
            zip(map(tuple, expected), reversed(expected), strict=True)
        )  # mixing pairs a batch with its reverse
        read = [np.stack(shard.samples(1, batch), axis=1).tolist() for shard in shards]
        assert sorted(sum(read, [])) == sorted(expected)
        if batch_size // num_shards % 2 == 0:  # otherwise a plan that mixes is refused
            assert all(
                partners[tuple(one)] == other for rows in read for one, other in zip(rows, rows[::-1], strict=True)
            )
        assert {shard.mixing(1, batch) for shard in shards} == {whole.mixing(1, batch)}


def test_the_copies_of_an_image_are_consecutive():
    indices, copies = SamplingPlan(300, 6, (8, 8), Augmentation(repeats=3)).samples(0, 0)
    assert len(set(indices)) == 2
    assert copies.tolist() == [0, 1, 2, 0, 1, 2]


def test_the_draws_of_a_batch_are_those_of_its_samples():
    plan = SamplingPlan(20, 4, (8, 8), Augmentation(flip=0.5, crop_scale=(0.1, 1.0)), seed=2)
    draws, (indices, copies) = plan.draws(1, 3), plan.samples(1, 3)
    np.testing.assert_array_equal(draws.pop("index"), indices)
    expected = plan.augmentation.draw((8, 8), 2, 1, indices, copies)
    for name, values in draws.items():
        np.testing.assert_array_equal(values, expected[name])
    assert set(draws) == set(expected)


def test_with_crops_alone_the_samples_are_the_same():
    plan = SamplingPlan(300, 6, (8, 8), Augmentation(crop_scale=(0.1, 1.0), flip=0.5, mixup=0.8, repeats=3))
    alone = plan.with_crops_alone()
    assert alone.augmentation == Augmentation(crop_scale=(0.1, 1.0), repeats=3)
    for one, two in zip(plan.samples(2, 1), alone.samples(2, 1), strict=True):
        np.testing.assert_array_equal(one, two)


def test_positions_go_on_into_the_next_epochs():
    plan = SamplingPlan(10, 3, (8, 8))  # three batches an epoch
    positions = list(itertools.islice(plan.iter_from(1, 1), 6))
    assert positions == [(1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 0)]
    assert next(plan.iter_from(0, 7)) == (2, 1)


@pytest.mark.parametrize(
    ("plan", "batches_per_turn", "num_batches"),
    [
        (SamplingPlan(10, 3, (8, 8)), 3, 3),
        (SamplingPlan(10, 3, (8, 8), steps=8), 3, 8),
        (SamplingPlan(10, 3, (8, 8), shard=1, num_shards=2), 1, 1),
        (SamplingPlan(1000, 16, (8, 8), Augmentation(repeats=3)), 48, 48),  # 768 samples, as in the official code
    ],
)
def test_the_number_of_batches(plan, batches_per_turn, num_batches):
    assert (plan.batches_per_turn, plan.num_batches) == (batches_per_turn, num_batches)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (SamplingPlan(3, 4, (8, 8)), "batch of 4 images cannot be drawn from the 3"),
        (SamplingPlan(9, 3, (8, 8), Augmentation(cutmix=1.0)), "must be even. Received: batch_size=3"),
    ],
)
def test_impossible_plans_are_refused(plan, message):
    with pytest.raises(ValueError, match=message):
        plan.check()


@pytest.mark.parametrize(
    ("num_examples", "batch_size", "multiple_of", "lengths"),
    [
        (10, 4, 1, [4, 4, 2]),
        (10, 4, 4, [4, 4, 4]),
        (9, 6, 2, [6, 4]),
        (8, 4, 2, [4, 4]),
        (3, 8, 8, [8]),
        (1, 4, 2, [2]),
        (10, 4, 3, [3, 3, 3, 3]),  # the batch size is rounded down to what the replicas divide
        (3, 2, 4, [4]),
    ],
)
def test_an_evaluation_has_every_image_once_and_keeps_the_mean(num_examples, batch_size, multiple_of, lengths):
    plan = EvaluationPlan(num_examples, batch_size, (8, 8), multiple_of)
    assert plan.num_batches == len(lengths)
    batches = [plan.batch(index) for index in range(plan.num_batches)]
    assert [len(indices) for indices, _ in batches] == lengths
    indices, weights = (np.concatenate(values) for values in zip(*batches, strict=True))
    assert indices[weights > 0].tolist() == list(range(num_examples))
    assert weights.dtype == np.float32
    values = np.random.default_rng(0).random(num_examples)
    assert (weights * values[indices]).mean() == pytest.approx(
        values.mean(), rel=1e-6
    )  # over all examples, as in Keras
    for received, expected in zip(plan.examples(), (indices, weights), strict=True):
        np.testing.assert_array_equal(received, expected)


@pytest.mark.parametrize(("num_examples", "batch_size", "multiple_of"), [(10, 4, 2), (9, 4, 4), (1, 8, 2), (12, 6, 6)])
def test_the_shards_of_an_evaluation_make_up_its_batches(num_examples, batch_size, multiple_of):
    whole = EvaluationPlan(num_examples, batch_size, (8, 8), multiple_of)
    shards = [dataclasses.replace(whole, shard=shard, num_shards=2) for shard in (0, 1)]
    assert {shard.num_batches for shard in shards} == {whole.num_batches}
    for batch in range(whole.num_batches):
        parts = [np.stack(shard.batch(batch), axis=1) for shard in shards]
        assert len(parts[0]) == len(parts[1])
        assert sorted(np.concatenate(parts).tolist()) == sorted(np.stack(whole.batch(batch), axis=1).tolist())
    for shard in shards:
        batches = [shard.batch(batch)[0] for batch in range(whole.num_batches)]
        np.testing.assert_array_equal(np.concatenate(batches), shard.examples()[0])
