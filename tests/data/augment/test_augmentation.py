"""What is done to training images, and the numbers that decide it."""

import dataclasses

import numpy as np
import pytest

from keras_deit import recipes
from keras_deit.data import Augmentation
from keras_deit.data.augment.augmentation import NOISE_SIZE, noise_table

DEIT = Augmentation.of(recipes.get("deit"))
SIZE = (64, 64)


def test_the_numbers_of_a_view_follow_from_seed_epoch_index_and_copy_alone():
    together = DEIT.draw(SIZE, 1, 2, [3, 70_000, 5], [0, 2, 1])
    for place, (index, copy) in enumerate([(3, 0), (70_000, 2), (5, 1)]):
        alone = DEIT.draw(SIZE, 1, 2, [index], [copy])
        for name, values in together.items():
            np.testing.assert_array_equal(alone[name][0], values[place])


@pytest.mark.parametrize("other", [(2, 2, 3, 0), (1, 3, 3, 0), (1, 2, 4, 0), (1, 2, 3, 1)])
def test_each_of_the_four_matters(other):
    seed, epoch, index, copy = other
    one, two = DEIT.draw(SIZE, 1, 2, [3], [0]), DEIT.draw(SIZE, seed, epoch, [index], [copy])
    assert not np.array_equal(one["crop"], two["crop"])


def test_changing_one_part_leaves_the_others_as_they_are():
    views = (SIZE, 0, 0, np.arange(50), np.zeros(50, int))
    one, two = DEIT.draw(*views), dataclasses.replace(DEIT, auto_augment="3-augment", erasing=0.0).draw(*views)
    for name in ("crop", "flip"):
        np.testing.assert_array_equal(one[name], two[name])
    assert not two["erased"].any()


def test_probabilities_are_kept():
    numbers = DEIT.draw(SIZE, 0, 0, np.arange(4000), np.zeros(4000, int))
    assert numbers["flip"].mean() == pytest.approx(0.5, abs=0.03)
    assert (numbers["erased"][:, 2] > 0).mean() == pytest.approx(0.25, abs=0.03)
    assert numbers["noise"].max() <= NOISE_SIZE - 64 * 64 * 3
    assert np.corrcoef(numbers["flip"], numbers["erased"][:, 2] > 0)[0, 1] == pytest.approx(0, abs=0.06)


def test_noise_is_standard_normal():
    noise = noise_table()
    assert (noise.mean(), noise.std()) == (pytest.approx(0, abs=2e-3), pytest.approx(1, abs=2e-3))
    assert (np.abs(noise) > 1.96).mean() == pytest.approx(0.05, abs=1e-3)


def test_a_policy_and_colour_jitter_follow_one_another():
    numbers = Augmentation.of(recipes.get("deit3_1k")).draw(SIZE, 0, 0, [0], [0])
    assert numbers["operations"].shape == numbers["arguments"].shape == (1, 4)
    assert "operations" not in Augmentation(flip=0.5).draw(SIZE, 0, 0, [0], [0])


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
