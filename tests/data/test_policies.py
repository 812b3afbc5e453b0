"""Which operations an image gets, against the published ranges and probabilities."""

import numpy as np
import pytest
from keras_deit.data.randaugment import NOTHING, OPERATIONS, draw

NUM_DRAWS = 10_000
CHI_SQUARE_999 = {14: 36.1, 1: 10.8}  # which chance exceeds once in a thousand, by degrees of freedom

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


@pytest.fixture(scope="module")
def draws():
    rng = np.random.default_rng(0)
    operations, arguments = zip(*(draw(rng) for _ in range(NUM_DRAWS)), strict=True)
    return np.array(operations), np.array(arguments)


def chi_square(counts, expected):
    return ((counts - expected) ** 2 / expected).sum()


def test_the_operations_and_their_ranges_are_the_published_ones():
    received = {one.name: tuple(one.argument(level) for level in (0, 5, 10)) for one in OPERATIONS}
    assert {name: pytest.approx(values) for name, values in RANGES.items()} == received


def test_every_operation_is_equally_often_drawn_and_applied_half_of_the_time(draws):
    for place in (0, 1):
        counts = np.bincount(draws[0][:, place], minlength=NOTHING + 1)
        applied = np.array([counts[NOTHING], counts[:NOTHING].sum()])
        assert chi_square(applied, NUM_DRAWS / 2) < CHI_SQUARE_999[1]
        assert chi_square(counts[:NOTHING], applied[1] / len(OPERATIONS)) < CHI_SQUARE_999[14]
    same = (draws[0][:, 0] == draws[0][:, 1]) & (draws[0][:, 0] != NOTHING)
    assert same.mean() == pytest.approx(0.25 / 15, abs=0.005)  # with replacement


def test_levels_are_normal_and_clipped_and_signs_even(draws):
    names = [one.name for one in OPERATIONS]
    rotations = draws[1][draws[0] == names.index("Rotate")] / 3  # back to levels
    assert (rotations > 0).mean() == pytest.approx(0.5, abs=0.1)
    assert np.abs(rotations).max() == pytest.approx(10.0)  # what was clipped
    inside = np.abs(rotations)[np.abs(rotations) < 9.9]
    assert np.median(np.abs(rotations)) == pytest.approx(9.0, abs=0.1)
    assert inside.std() == pytest.approx(0.47, abs=0.05)  # 0.5, cut off above
    factors = draws[1][draws[0] == names.index("ColorIncreasing")]
    assert factors.min() == pytest.approx(0.1)
    assert factors.max() == pytest.approx(1.9)
    assert ((factors > 1.6) | (factors < 0.4)).all()


def test_the_same_generator_draws_the_same():
    for one, two in zip(draw(np.random.default_rng(3)), draw(np.random.default_rng(3)), strict=True):
        np.testing.assert_array_equal(one, two)
