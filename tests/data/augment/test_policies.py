"""Which operations an image gets, against the published ranges and probabilities."""

import numpy as np
import pytest

from keras_deit.data.augment.operation_names import NAMES, NOTHING, index_of
from keras_deit.data.augment.policies import AutoAugment, ColorJitter, RandAugment, ThreeAugment, parse
from keras_deit.data.augment.randaugment_space import AUTOAUGMENT, RANDAUGMENT

pytestmark = pytest.mark.backend_independent
NUM_DRAWS = 10_000
# Chance exceeds these values once in a thousand times, by degrees of freedom.
CHI_SQUARE_999 = {14: 36.1, 8: 26.1, 5: 20.5, 2: 13.8, 1: 10.8}


@pytest.fixture(scope="module")
def draws():
    return RandAugment()(np.random.default_rng(0).random((NUM_DRAWS, 10)))


def chi_square(counts, expected):
    return ((counts - expected) ** 2 / expected).sum()


def test_operations_are_equally_likely_and_half_of_them_are_applied(draws):
    for step in (0, 1):
        counts = np.bincount(draws[0][:, step], minlength=NOTHING + 1)
        chosen = counts[[index_of(one.operation) for one in RANDAUGMENT]]
        applied = np.array([counts[NOTHING], chosen.sum()])
        assert applied.sum() == NUM_DRAWS
        assert chi_square(applied, NUM_DRAWS / 2) < CHI_SQUARE_999[1]
        assert chi_square(chosen, applied[1] / len(RANDAUGMENT)) < CHI_SQUARE_999[14]
    same = (draws[0][:, 0] == draws[0][:, 1]) & (draws[0][:, 0] != NOTHING)
    assert same.mean() == pytest.approx(0.25 / 15, abs=0.005)  # with replacement


def test_levels_are_normal_and_clipped_and_both_signs_equally_likely(draws):
    rotations = draws[1][draws[0] == index_of("Rotate")] / 3  # back to levels
    assert (rotations > 0).mean() == pytest.approx(0.5, abs=0.1)
    assert np.abs(rotations).max() == pytest.approx(10.0)  # what was clipped
    inside = np.abs(rotations)[np.abs(rotations) < 9.9]
    assert np.median(np.abs(rotations)) == pytest.approx(9.0, abs=0.1)
    assert inside.std() == pytest.approx(0.47, abs=0.05)  # 0.5, cut off above
    factors = draws[1][draws[0] == index_of("Color")]
    assert factors.min() == pytest.approx(0.1)
    assert factors.max() == pytest.approx(1.9)
    assert ((factors > 1.6) | (factors < 0.4)).all()


def test_pairs_are_equally_likely_and_their_operations_have_their_probabilities():
    operations, arguments = AutoAugment()(np.random.default_rng(0).random((NUM_DRAWS, 9)))
    for step in (0, 1):
        expected = np.zeros(NOTHING + 1)
        for pair in AUTOAUGMENT:
            choice, probability, _ = pair[step]
            expected[index_of(choice.operation)] += probability / 25
            expected[NOTHING] += (1 - probability) / 25
        counts = np.bincount(operations[:, step], minlength=NOTHING + 1)
        assert not counts[expected == 0].any()
        drawn = expected > 0
        degrees = drawn.sum() - 1
        assert chi_square(counts[drawn], NUM_DRAWS * expected[drawn]) < CHI_SQUARE_999[degrees]
    rotations = arguments[operations == index_of("Rotate")]
    assert set(np.round(np.abs(rotations)).astype(int)) == {9, 24, 27}
    assert (rotations > 0).mean() == pytest.approx(0.5, abs=0.05)
    noisy = AutoAugment(0.5)(np.random.default_rng(0).random((NUM_DRAWS, 9)))[1]
    deviation = (np.abs(noisy) - np.abs(arguments))[(operations == index_of("Rotate")) & (np.abs(arguments) < 25)]
    assert deviation.std() == pytest.approx(1.5, abs=0.1)  # half a level of three degrees


def test_three_augment_takes_one_of_three_operations():
    operations, arguments = ThreeAugment()(np.random.default_rng(0).random((NUM_DRAWS, 2)))
    counts = np.bincount(operations[:, 0], minlength=NOTHING)
    chosen = counts[[index_of(name) for name in ("Grayscale", "Solarize", "GaussianBlur")]]
    assert chosen.sum() == NUM_DRAWS
    assert chi_square(chosen, NUM_DRAWS / 3) < CHI_SQUARE_999[2]
    assert set(arguments[operations == index_of("Solarize")]) == {128}
    radii = arguments[operations == index_of("GaussianBlur")]
    shares = np.arange(0.1, 0.95, 0.1)
    np.testing.assert_allclose(np.quantile(radii, shares), 0.1 + 1.9 * shares, atol=0.05)  # uniform


def test_color_jitter_draws_factors_and_orders_uniformly():
    operations, arguments = ColorJitter(0.3)(np.random.default_rng(0).random((NUM_DRAWS, 4)))
    orders, counts = np.unique(operations, axis=0, return_counts=True)
    assert {NAMES[index] for index in orders[0]} == {"Brightness", "Contrast", "Color"}
    assert chi_square(counts, NUM_DRAWS / 6) < CHI_SQUARE_999[5]
    for name in ("Brightness", "Contrast", "Color"):
        factors = arguments[operations == index_of(name)]
        shares = np.arange(0.1, 0.95, 0.1)
        np.testing.assert_allclose(np.quantile(factors, shares), 0.7 + 0.6 * shares, atol=0.02)


def test_policies_have_the_names_of_timm():
    assert parse("rand-m9-mstd0.5-inc1") == RandAugment()
    assert parse("rand-m7-n3-p0.2-inc1") == RandAugment(7.0, 0.0, 3, 0.2)
    assert isinstance(parse("3-augment"), ThreeAugment)
    assert [parse("original"), parse("original-mstd0.5")] == [AutoAugment(), AutoAugment(0.5)]


@pytest.mark.parametrize(
    "name", ["rand-m9-mstd0.5", "rand-m11-inc1", "rand-inc1", "rand-m9-inc1-x2", "augmix", "v0", "original-m9"]
)
def test_other_policies_are_refused(name):
    with pytest.raises(ValueError, match="rand-m9-mstd0.5-inc1.*Received: auto_augment"):
        parse(name)
