"""RandAugment's operations, and which of them an image gets.

What is drawn is a list of numbers, the same whatever computes the pixels: `keras_deit.data.tensorflow_ops` within `tf.data`,
or Pillow.
"""

import dataclasses

import numpy as np

HIGHEST_LEVEL = 10.0  # of the scale on which magnitudes are given


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        name: Its name in timm, with the increasing magnitudes of `inc1`.
        argument: From a level in 0..10 to the operation's argument.
        signed: Whether the argument's deviation from `neutral` is turned round for every second image.
        neutral: The argument that changes nothing, of a signed operation.
        lowest: The least argument.
    """

    name: str
    argument: object = lambda level: 0.0
    signed: bool = False
    neutral: float = 0.0
    lowest: float = -np.inf


def _share(largest):
    return lambda level: level / HIGHEST_LEVEL * largest


# The ranges are those of timm's `rand-...-inc1`: rotation in degrees, shear as a slope, translation as a share of the side,
# solarisation as a threshold, posterisation as the number of bits that are kept, enhancements as factors.
OPERATIONS = (
    Operation("AutoContrast"),
    Operation("Equalize"),
    Operation("Invert"),
    Operation("Rotate", _share(30.0), signed=True),
    Operation("PosterizeIncreasing", lambda level: 4 - int(_share(4)(level))),
    Operation("SolarizeIncreasing", lambda level: 256 - int(_share(256)(level))),
    Operation("SolarizeAdd", lambda level: int(_share(110)(level))),
    Operation("ColorIncreasing", _share(0.9), signed=True, neutral=1.0, lowest=0.1),
    Operation("ContrastIncreasing", _share(0.9), signed=True, neutral=1.0, lowest=0.1),
    Operation("BrightnessIncreasing", _share(0.9), signed=True, neutral=1.0, lowest=0.1),
    Operation("SharpnessIncreasing", _share(0.9), signed=True, neutral=1.0, lowest=0.1),
    Operation("ShearX", _share(0.3), signed=True),
    Operation("ShearY", _share(0.3), signed=True),
    Operation("TranslateXRel", _share(0.45), signed=True),
    Operation("TranslateYRel", _share(0.45), signed=True),
)
NOTHING = len(OPERATIONS)  # stands for an operation that is not applied


def draw(rng, magnitude=9.0, magnitude_std=0.5, num_operations=2, probability=0.5):
    """Draws the operations for an image: `rand-m9-mstd0.5-inc1`.

    Args:
        rng: `numpy.random.Generator`.
        magnitude, magnitude_std: Mean and standard deviation of the level, which is clipped to 0..10.
        num_operations: Number of operations, drawn with replacement.
        probability: With which each of them is applied.

    Returns:
        Two arrays `(num_operations,)`: int32 indices into `OPERATIONS`, or `NOTHING`, and float32 arguments.

    Example:

    >>> operations, arguments = draw(np.random.default_rng(0))
    >>> operations.shape, arguments.shape
    ((2,), (2,))

    Reference:
        Cubuk et al., 2019 (arXiv 1909.13719); timm's `rand_augment_transform`.
    """
    operations = np.full(num_operations, NOTHING, "int32")
    arguments = np.zeros(num_operations, "float32")
    chosen = rng.integers(len(OPERATIONS), size=num_operations)
    applied, turned = rng.random((2, num_operations))
    levels = np.clip(rng.normal(magnitude, magnitude_std, num_operations), 0, HIGHEST_LEVEL)
    for place in np.flatnonzero(applied < probability):
        operation = OPERATIONS[chosen[place]]
        argument = operation.argument(levels[place])
        if operation.signed:
            argument = operation.neutral + (argument if turned[place] < 0.5 else -argument)
        operations[place], arguments[place] = chosen[place], max(operation.lowest, argument)
    return operations, arguments
