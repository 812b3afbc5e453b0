"""Which views make up a batch."""

import numpy as np
import pytest

from keras_deit.data import Augmentation, SamplingPlan


def test_an_epoch_has_every_image_once_and_the_next_turn_another_order():
    plan = SamplingPlan(10, 5, (8, 8), steps=4)
    (one, _), (two, _), (three, copies), _ = (plan.views(0, batch) for batch in range(4))
    assert sorted([*one, *two]) == list(range(10))
    assert one.tolist() != three.tolist()
    assert set(copies) == {1}  # other copies, so that they look otherwise


def test_shards_take_turns():
    whole = SamplingPlan(64, 8, (8, 8), seed=1)
    shards = [SamplingPlan(64, 4, (8, 8), seed=1, shard=shard, num_shards=2) for shard in (0, 1)]
    for batch in range(8):
        both = np.stack([shard.views(0, batch)[0] for shard in shards], axis=1).ravel()
        np.testing.assert_array_equal(both, whole.views(0, batch)[0])
    drawn = [
        SamplingPlan(64, 4, (8, 8), Augmentation(mixup=0.8), shard=s, num_shards=2).mixing(0, 0)[0] for s in (0, 1)
    ]
    assert drawn[0] != drawn[1]


def test_repeats_come_one_after_the_other():
    indices, copies = SamplingPlan(300, 6, (8, 8), Augmentation(repeats=3)).views(0, 0)
    assert len(set(indices)) == 2
    assert copies.tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (SamplingPlan(3, 4, (8, 8)), "batch of 4 images cannot be drawn from the 3"),
        (SamplingPlan(9, 3, (8, 8), Augmentation(cutmix=1.0)), "must be even. Received: batch_size=3"),
    ],
)
def test_what_cannot_be_planned_is_refused(plan, message):
    with pytest.raises(ValueError, match=message):
        plan.check()
