"""The search spaces of RandAugment and AutoAugment, against the published ones."""

import numpy as np
import pytest

from keras_deit.data.augment.randaugment_space import AUTOAUGMENT, RANDAUGMENT

pytestmark = pytest.mark.backend_independent
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


def test_randaugment_has_the_published_operations_and_ranges():
    received = {one.name: tuple(one.argument(np.array([0.0, 5.0, 10.0]))) for one in RANDAUGMENT}
    assert {name: pytest.approx(values) for name, values in RANGES.items()} == received


def test_autoaugment_is_the_policy_of_timm():
    timm = pytest.importorskip("timm.data.auto_augment", reason="the table is timm's", exc_type=ImportError)
    published = timm.auto_augment_policy_original({})
    assert len(AUTOAUGMENT) == len(published) == 25
    for ours, theirs in zip(AUTOAUGMENT, published, strict=True):
        for (choice, probability, level), operation in zip(ours, theirs, strict=True):
            assert (choice.name, probability, level) == (operation.name, operation.prob, operation.magnitude)
            if operation.level_fn:
                argument = operation.level_fn(level, {})[0]
                is_negative = np.array([False, True])
                received = choice.arguments(np.full(2, level), is_negative)
                assert abs(argument) == pytest.approx(abs(received[0]))
                assert received[1] == pytest.approx(-received[0] if choice.signed else received[0])


def test_autoaugment_has_the_published_ranges_and_probabilities():
    at_levels = {"PosterizeOriginal": (4, 6, 8), "Solarize": (0, 128, 256)}
    at_levels |= dict.fromkeys(("Color", "Contrast", "Sharpness"), (0.1, 1.0, 1.9))
    for choice, _, _ in sum(AUTOAUGMENT, ()):
        expected = at_levels.get(choice.name, RANGES.get(choice.name))
        received = choice.arguments(np.array([0.0, 5.0, 10.0]), np.array([False]))
        np.testing.assert_allclose(received, expected)
    for name, totals in AUTOAUGMENT_TOTALS.items():
        found = [(probability, level) for choice, probability, level in sum(AUTOAUGMENT, ()) if choice.name == name]
        assert (len(found), *np.round(np.sum(found, axis=0), 1)) == totals, name
    assert sum(count for count, _, _ in AUTOAUGMENT_TOTALS.values()) == 50
