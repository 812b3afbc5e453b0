"""Which operations an image gets, against the published ranges and probabilities."""

import numpy as np
import pytest

from keras_deit.data.augment.operations import NAMES, NOTHING, number
from keras_deit.data.augment.policies import AutoAugment, ColorJitter, RandAugment, ThreeAugment, parse
from keras_deit.data.augment.randaugment_space import AUTOAUGMENT, RANDAUGMENT

NUM_DRAWS = 10_000
CHI_SQUARE_999 = {
    14: 36.1,
    8: 26.1,
    5: 20.5,
    2: 13.8,
    1: 10.8,
}  # which chance exceeds once in a thousand, by degrees of freedom

# timm's functions from a level, and the arguments that they give at levels 0, 5 and 10 ("inc1"; signs apart).
RANGES = {
    "AutoContrast": (0, 0, 0),
    "Equalize": (0, 0, 0),
    "Invert": (0, 0, 0),
    "Rotate": (0, 15, 30),
    "PosterizeIncreasing": (4, 2, 0),
    "SolarizeIncreasing": (256, 128, 0),
    "SolarizeAdd": (0, 55, 110),
    "ColorIncreasing": (0, 0.45, 0.9),
    "ContrastIncreasing": (0, 0.45, 0.9),
    "BrightnessIncreasing": (0, 0.45, 0.9),
    "SharpnessIncreasing": (0, 0.45, 0.9),
    "ShearX": (0, 0.15, 0.3),
    "ShearY": (0, 0.15, 0.3),
    "TranslateXRel": (0, 0.225, 0.45),
    "TranslateYRel": (0, 0.225, 0.45),
}
# How often the 25 pairs of the paper's table 9 name an operation; the sums of its probabilities and of its levels.
AUTOAUGMENT_TOTALS = {
    "PosterizeOriginal": (5, 2.8, 32),
    "Rotate": (6, 3.6, 45),
    "Solarize": (7, 3.6, 36),
    "AutoContrast": (2, 1.2, 10),
    "Equalize": (17, 11.2, 102),
    "Color": (6, 3.8, 18),
    "Invert": (3, 1.8, 16),
    "Contrast": (2, 2.0, 16),
    "Sharpness": (1, 0.4, 7),
    "ShearX": (1, 0.6, 5),
}


@pytest.fixture(scope="module")
def draws():
    return RandAugment()(np.random.default_rng(0).random((NUM_DRAWS, 10)))


def chi_square(counts, expected):
    return ((counts - expected) ** 2 / expected).sum()


def test_the_operations_and_their_ranges_are_the_published_ones():
    received = {one.name: tuple(one.argument(np.array([0.0, 5.0, 10.0]))) for one in RANDAUGMENT}
    assert {name: pytest.approx(values) for name, values in RANGES.items()} == received


def test_every_operation_is_equally_often_drawn_and_applied_half_of_the_time(draws):
    for place in (0, 1):
        counts = np.bincount(draws[0][:, place], minlength=NOTHING + 1)
        chosen = counts[[number(one.operation) for one in RANDAUGMENT]]
        applied = np.array([counts[NOTHING], chosen.sum()])
        assert applied.sum() == NUM_DRAWS
        assert chi_square(applied, NUM_DRAWS / 2) < CHI_SQUARE_999[1]
        assert chi_square(chosen, applied[1] / len(RANDAUGMENT)) < CHI_SQUARE_999[14]
    same = (draws[0][:, 0] == draws[0][:, 1]) & (draws[0][:, 0] != NOTHING)
    assert same.mean() == pytest.approx(0.25 / 15, abs=0.005)  # with replacement


def test_levels_are_normal_and_clipped_and_signs_even(draws):
    rotations = draws[1][draws[0] == number("Rotate")] / 3  # back to levels
    assert (rotations > 0).mean() == pytest.approx(0.5, abs=0.1)
    assert np.abs(rotations).max() == pytest.approx(10.0)  # what was clipped
    inside = np.abs(rotations)[np.abs(rotations) < 9.9]
    assert np.median(np.abs(rotations)) == pytest.approx(9.0, abs=0.1)
    assert inside.std() == pytest.approx(0.47, abs=0.05)  # 0.5, cut off above
    factors = draws[1][draws[0] == number("Color")]
    assert factors.min() == pytest.approx(0.1)
    assert factors.max() == pytest.approx(1.9)
    assert ((factors > 1.6) | (factors < 0.4)).all()


def test_auto_augment_is_timms():
    timm = pytest.importorskip("timm.data.auto_augment", reason="the table is timm's", exc_type=ImportError)
    published = timm.auto_augment_policy_original({})
    assert len(AUTOAUGMENT) == len(published) == 25
    for ours, theirs in zip(AUTOAUGMENT, published, strict=True):
        for (choice, probability, level), operation in zip(ours, theirs, strict=True):
            assert (choice.name, probability, level) == (operation.name, operation.prob, operation.magnitude)
            if operation.level_fn:
                argument = operation.level_fn(level, {})[0]
                turned = np.array([False, True])
                received = choice.arguments(np.full(2, level), turned)
                assert abs(argument) == pytest.approx(abs(received[0]))
                assert received[1] == pytest.approx(-received[0] if choice.signed else received[0])


def test_auto_augments_ranges_and_shares_are_the_published_ones():
    at_levels = {"PosterizeOriginal": (4, 6, 8), "Solarize": (0, 128, 256)}
    at_levels |= dict.fromkeys(("Color", "Contrast", "Sharpness"), (0.1, 1.0, 1.9))
    for choice, _, _ in sum(AUTOAUGMENT, ()):
        expected = at_levels.get(choice.name, RANGES.get(choice.name))
        received = choice.arguments(np.array([0.0, 5.0, 10.0]), np.array([False]))
        np.testing.assert_allclose(received, expected)
    for name, totals in AUTOAUGMENT_TOTALS.items():
        found = [(probability, level) for choice, probability, level in sum(AUTOAUGMENT, ()) if choice.name == name]
        assert (len(found), *np.round(np.sum(found, axis=0), 1)) == totals, name
    assert sum(number for number, _, _ in AUTOAUGMENT_TOTALS.values()) == 50


def test_auto_augment_draws_every_pair_equally_often_and_its_operations_with_their_probabilities():
    operations, arguments = AutoAugment()(np.random.default_rng(0).random((NUM_DRAWS, 9)))
    for place in (0, 1):
        expected = np.zeros(NOTHING + 1)
        for pair in AUTOAUGMENT:
            choice, probability, _ = pair[place]
            expected[number(choice.operation)] += probability / 25
            expected[NOTHING] += (1 - probability) / 25
        counts = np.bincount(operations[:, place], minlength=NOTHING + 1)
        assert not counts[expected == 0].any()
        drawn = expected > 0
        degrees = drawn.sum() - 1
        assert chi_square(counts[drawn], NUM_DRAWS * expected[drawn]) < CHI_SQUARE_999[degrees]
    rotations = arguments[operations == number("Rotate")]
    assert set(np.round(np.abs(rotations)).astype(int)) == {9, 24, 27}
    assert (rotations > 0).mean() == pytest.approx(0.5, abs=0.05)
    noisy = AutoAugment(0.5)(np.random.default_rng(0).random((NUM_DRAWS, 9)))[1]
    deviation = (np.abs(noisy) - np.abs(arguments))[(operations == number("Rotate")) & (np.abs(arguments) < 25)]
    assert deviation.std() == pytest.approx(1.5, abs=0.1)  # half a level of three degrees


def test_three_augment_takes_one_of_three():
    operations, arguments = ThreeAugment()(np.random.default_rng(0).random((NUM_DRAWS, 2)))
    counts = np.bincount(operations[:, 0], minlength=NOTHING)
    chosen = counts[[number(name) for name in ("Grayscale", "Solarize", "GaussianBlur")]]
    assert chosen.sum() == NUM_DRAWS
    assert chi_square(chosen, NUM_DRAWS / 3) < CHI_SQUARE_999[2]
    assert set(arguments[operations == number("Solarize")]) == {128}
    radii = arguments[operations == number("GaussianBlur")]
    shares = np.arange(0.1, 0.95, 0.1)
    np.testing.assert_allclose(np.quantile(radii, shares), 0.1 + 1.9 * shares, atol=0.05)  # uniform


def test_colour_jitter_has_its_factors_and_all_orders():
    operations, arguments = ColorJitter(0.3)(np.random.default_rng(0).random((NUM_DRAWS, 4)))
    orders, counts = np.unique(operations, axis=0, return_counts=True)
    assert {NAMES[place] for place in orders[0]} == {"Brightness", "Contrast", "Color"}
    assert chi_square(counts, NUM_DRAWS / 6) < CHI_SQUARE_999[5]
    for name in ("Brightness", "Contrast", "Color"):
        factors = arguments[operations == number(name)]
        shares = np.arange(0.1, 0.95, 0.1)
        np.testing.assert_allclose(np.quantile(factors, shares), 0.7 + 0.6 * shares, atol=0.02)


def test_policies_are_spelled_as_in_timm():
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
