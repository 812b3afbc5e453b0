"""The augmentation of training images, and the random draws that decide it."""

import dataclasses

import numpy as np
import pytest

from keras_deit import recipes
from keras_deit.data import Augmentation
from keras_deit.data.augment.crops import NUM_UNIFORMS, crop_attempts
from keras_deit.data.augment.erasing import NOISE_SIZE

pytestmark = pytest.mark.backend_independent
DEIT = Augmentation.of(recipes.get("deit"))
SIZE = (64, 64)


def test_the_draws_of_a_sample_depend_on_seed_epoch_index_and_copy_alone():
    together = DEIT.draw(SIZE, 1, 2, [3, 70_000, 5], [0, 2, 1])
    for row, (index, copy) in enumerate([(3, 0), (70_000, 2), (5, 1)]):
        alone = DEIT.draw(SIZE, 1, 2, [index], [copy])
        for name, values in together.items():
            np.testing.assert_array_equal(alone[name][0], values[row])


def test_each_sample_has_a_random_generator_of_its_own():
    indices, copies = [3, 70_000, 5, 2**31], [0, 2, 1, 0]
    crops = DEIT.draw(SIZE, 1, 2, indices, copies)["crop"]
    for row, index, copy in zip(crops, indices, copies, strict=True):
        values = np.random.Philox(key=[1, 2], counter=[0, 0, copy, index]).random_raw(NUM_UNIFORMS)
        uniform = (values >> np.uint64(11)) / 2**53
        np.testing.assert_array_equal(row, crop_attempts(uniform[None], DEIT.crop_scale)[0])


@pytest.mark.parametrize("other", [(2, 2, 3, 0), (1, 3, 3, 0), (1, 2, 4, 0), (1, 2, 3, 1)])
def test_each_of_the_four_changes_the_draws(other):
    seed, epoch, index, copy = other
    one, two = DEIT.draw(SIZE, 1, 2, [3], [0]), DEIT.draw(SIZE, seed, epoch, [index], [copy])
    assert not np.array_equal(one["crop"], two["crop"])


def test_changing_one_step_leaves_the_draws_of_the_others_unchanged():
    samples = (SIZE, 0, 0, np.arange(50), np.zeros(50, int))
    one, two = DEIT.draw(*samples), dataclasses.replace(DEIT, auto_augment="3-augment", erasing=0.0).draw(*samples)
    for name in ("crop", "flip"):
        np.testing.assert_array_equal(one[name], two[name])
    assert not two["erased"].any()


def test_flips_and_erasing_have_their_probabilities():
    draws = DEIT.draw(SIZE, 0, 0, np.arange(4000), np.zeros(4000, int))
    assert draws["flip"].mean() == pytest.approx(0.5, abs=0.03)
    assert (draws["erased"][:, 2] > 0).mean() == pytest.approx(0.25, abs=0.03)
    assert draws["noise"].max() <= NOISE_SIZE - 64 * 64 * 3
    assert np.corrcoef(draws["flip"], draws["erased"][:, 2] > 0)[0, 1] == pytest.approx(0, abs=0.06)


def test_the_operations_of_a_policy_come_before_those_of_color_jitter():
    draws = Augmentation.of(recipes.get("deit3_1k")).draw(SIZE, 0, 0, [0], [0])
    assert draws["operations"].shape == draws["arguments"].shape == (1, 4)
    assert "operations" not in Augmentation(flip=0.5).draw(SIZE, 0, 0, [0], [0])


def test_crops_alone_keeps_crops_and_repeats():
    crops = DEIT.crops_alone()
    assert crops == Augmentation(crop_scale=DEIT.crop_scale, repeats=DEIT.repeats)
    samples = (SIZE, 0, 0, np.arange(50), np.zeros(50, int))
    np.testing.assert_array_equal(crops.draw(*samples)["crop"], DEIT.draw(*samples)["crop"])
    assert not crops.mixes


def test_the_mixture_of_a_batch_depends_on_seed_epoch_and_batch():
    drawn = [DEIT.draw_mixing(SIZE, *key) for key in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))]
    assert len({share for share, _ in drawn}) == 4
    assert DEIT.draw_mixing(SIZE, 0, 0, 0) == drawn[0]


def test_erasing_of_images_that_are_too_large_for_the_noise_is_refused():
    with pytest.raises(ValueError, match="at most 1,398,101 pixels. Received: image_size="):
        Augmentation(erasing=0.1).draw((1200, 1200), 0, 0, [0], [0])
    assert Augmentation(flip=0.5).draw((1200, 1200), 0, 0, [0], [0])["noise"].tolist() == [0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"crop_scale": (0.5, 0.1)}, "crop_scale"),
        ({"flip": 1.5}, "flip"),
        ({"mixup": -1}, "mixup"),
        ({"repeats": 0}, "repeats"),
        ({"auto_augment": "autoaugment"}, "auto_augment"),
    ],
)
def test_values_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"`{message}` must"):
        Augmentation(**arguments)
