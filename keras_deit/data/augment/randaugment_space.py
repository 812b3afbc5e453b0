"""The search spaces of RandAugment and AutoAugment: operations, and the arguments that levels stand for."""

import dataclasses

import numpy as np

HIGHEST_LEVEL = 10.0  # magnitudes lie on the scale from 0 to this level


@dataclasses.dataclass(frozen=True)
class Choice:
    """An operation with the map from levels to its arguments.

    Attributes:
        name: Its name in timm.
        operation: Its name in `operation_names.NAMES`.
        argument: Function from an array of levels in 0..10 to the operation's arguments.
        signed: Whether the deviation of the argument from `neutral` changes its sign for half of the images.
        neutral: The argument of a signed operation that leaves an image unchanged.
        lowest: The smallest argument.
    """

    name: str
    operation: str
    argument: object = np.zeros_like
    signed: bool = False
    neutral: float = 0.0
    lowest: float = -np.inf

    def arguments(self, levels, is_negative):
        """Returns the arguments at some levels; a signed operation deviates downwards where `is_negative`."""
        argument = self.argument(levels)
        if self.signed:
            argument = self.neutral + np.where(is_negative, -argument, argument)
        return np.maximum(self.lowest, argument)


def _share(largest):
    return lambda level: level / HIGHEST_LEVEL * largest


def _whole(largest, offset=0, sign=1):
    return lambda level: offset + sign * np.floor(level / HIGHEST_LEVEL * largest)


_FACTOR = {"argument": _share(0.9), "signed": True, "neutral": 1.0, "lowest": 0.1}

# The ranges are those of timm's `rand-...-inc1`: rotation in degrees, shear as a slope, translation as a fraction of the
# side, solarisation as a threshold, posterisation as the number of bits that are kept, enhancements as factors.
RANDAUGMENT = (
    Choice("AutoContrast", "AutoContrast"),
    Choice("Equalize", "Equalize"),
    Choice("Invert", "Invert"),
    Choice("Rotate", "Rotate", _share(30.0), signed=True),
    Choice("PosterizeIncreasing", "Posterize", _whole(4, offset=4, sign=-1)),
    Choice("SolarizeIncreasing", "Solarize", _whole(256, offset=256, sign=-1)),
    Choice("SolarizeAdd", "SolarizeAdd", _whole(110)),
    Choice("ColorIncreasing", "Color", **_FACTOR),
    Choice("ContrastIncreasing", "Contrast", **_FACTOR),
    Choice("BrightnessIncreasing", "Brightness", **_FACTOR),
    Choice("SharpnessIncreasing", "Sharpness", **_FACTOR),
    Choice("ShearX", "ShearX", _share(0.3), signed=True),
    Choice("ShearY", "ShearY", _share(0.3), signed=True),
    Choice("TranslateXRel", "TranslateX", _share(0.45), signed=True),
    Choice("TranslateYRel", "TranslateY", _share(0.45), signed=True),
)

_BY_NAME = {choice.name: choice for choice in RANDAUGMENT} | {
    choice.name: choice
    for choice in (
        Choice("PosterizeOriginal", "Posterize", _whole(4, offset=4)),
        Choice("Solarize", "Solarize", _whole(256)),
        *(
            Choice(name, name, lambda level: 0.1 + level / HIGHEST_LEVEL * 1.8)
            for name in ("Color", "Contrast", "Sharpness")
        ),
    )
}

# The 25 pairs that were found for ImageNet: operation, probability, level.
_AUTOAUGMENT = """
PosterizeOriginal 0.4 8, Rotate 0.6 9
Solarize 0.6 5, AutoContrast 0.6 5
Equalize 0.8 8, Equalize 0.6 3
PosterizeOriginal 0.6 7, PosterizeOriginal 0.6 6
Equalize 0.4 7, Solarize 0.2 4
Equalize 0.4 4, Rotate 0.8 8
Solarize 0.6 3, Equalize 0.6 7
PosterizeOriginal 0.8 5, Equalize 1.0 2
Rotate 0.2 3, Solarize 0.6 8
Equalize 0.6 8, PosterizeOriginal 0.4 6
Rotate 0.8 8, Color 0.4 0
Rotate 0.4 9, Equalize 0.6 2
Equalize 0.0 7, Equalize 0.8 8
Invert 0.6 4, Equalize 1.0 8
Color 0.6 4, Contrast 1.0 8
Rotate 0.8 8, Color 1.0 2
Color 0.8 8, Solarize 0.8 7
Sharpness 0.4 7, Invert 0.6 8
ShearX 0.6 5, Equalize 1.0 9
Color 0.4 0, Equalize 0.6 3
Equalize 0.4 7, Solarize 0.2 4
Solarize 0.6 5, AutoContrast 0.6 5
Invert 0.6 4, Equalize 1.0 8
Color 0.6 4, Contrast 1.0 8
Equalize 0.8 8, Equalize 0.6 3
"""


def _pairs(text):
    for line in text.strip().splitlines():
        steps = (step.split() for step in line.split(", "))
        yield tuple((_BY_NAME[name], float(probability), float(level)) for name, probability, level in steps)


AUTOAUGMENT = tuple(_pairs(_AUTOAUGMENT))
