"""Policies that choose the operations of a training image: RandAugment, AutoAugment, 3-Augment and colour jitter.

A policy maps uniform draws, one row for each image, to indices of operations (in `operation_names.NAMES`) and their
arguments.
"""

import dataclasses
import re

import numpy as np

from keras_deit.data.augment.operation_names import NOTHING, index_of
from keras_deit.data.augment.randaugment_space import AUTOAUGMENT, HIGHEST_LEVEL, RANDAUGMENT

THREE_AUGMENT = ("Grayscale", "Solarize", "GaussianBlur")
SOLARIZE_THRESHOLD = 128
BLUR_RADII = (0.1, 2.0)
JITTERED = ("Brightness", "Contrast", "Color")
ORDERS = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])


@dataclasses.dataclass(frozen=True)
class RandAugment:
    """RandAugment with timm's increasing magnitudes.

    Attributes:
        magnitude, magnitude_std: Mean and standard deviation of the level of an operation, which is clipped to 0..10.
        num_operations: Number of operations of an image, drawn with replacement.
        probability: Probability that a drawn operation is applied.

    Reference:
        Cubuk et al., 2019 (arXiv 1909.13719); timm's `rand_augment_transform`.
    """

    magnitude: float = 9.0
    magnitude_std: float = 0.5
    num_operations: int = 2
    probability: float = 0.5

    @property
    def num_uniforms(self):
        """Number of uniform draws that an image needs."""
        return 5 * self.num_operations

    def __call__(self, uniform):
        """Draws the operations.

        Args:
            uniform: Array `(images, num_uniforms)` of uniform draws in 0..1.

        Returns:
            Two arrays `(images, num_operations)`: int32 indices of operations and float32 arguments.

        Example:

        >>> operations, arguments = RandAugment()(np.random.default_rng(0).random((4, 10)))
        >>> operations.shape, arguments.shape
        ((4, 2), (4, 2))
        """
        chosen, applied, sign, *pair = np.moveaxis(uniform.reshape(len(uniform), self.num_operations, 5), -1, 0)
        chosen = np.where(applied < self.probability, np.floor(chosen * len(RANDAUGMENT)), -1)
        levels = np.clip(self.magnitude + self.magnitude_std * _normal(*pair), 0, HIGHEST_LEVEL)
        operations = np.full(chosen.shape, NOTHING, "int32")
        arguments = np.zeros(chosen.shape, "float32")
        for index, choice in enumerate(RANDAUGMENT):
            here = chosen == index
            operations[here] = index_of(choice.operation)
            arguments[here] = choice.arguments(levels[here], sign[here] >= 0.5)
        return operations, arguments


@dataclasses.dataclass(frozen=True)
class AutoAugment:
    """The policy that AutoAugment found for ImageNet: each image gets one of 25 pairs of operations.

    Attributes:
        magnitude_std: Standard deviation of the level of an operation, which is clipped to 0..10.

    Reference:
        Cubuk et al., 2018 (arXiv 1805.09501), table 9; timm's `original`, which posterises to as many bits as
        the paper.
    """

    magnitude_std: float = 0.0

    num_uniforms = 9

    def __call__(self, uniform):
        """Draws two operations for each image; see `RandAugment.__call__`."""
        pairs = (uniform[:, 0] * len(AUTOAUGMENT)).astype(int)
        applied, sign, *normal = np.moveaxis(uniform[:, 1:].reshape(len(uniform), 2, 4), -1, 0)
        deviations = self.magnitude_std * _normal(*normal)
        operations = np.full(applied.shape, NOTHING, "int32")
        arguments = np.zeros(applied.shape, "float32")
        for image, pair in enumerate(pairs):
            for step, (choice, probability, level) in enumerate(AUTOAUGMENT[pair]):
                if applied[image, step] < probability:
                    level = np.clip(level + deviations[image, step], 0, HIGHEST_LEVEL)
                    operations[image, step] = index_of(choice.operation)
                    arguments[image, step] = choice.arguments(level, sign[image, step] >= 0.5)
        return operations, arguments


class ThreeAugment:
    """Exactly one of greyscale, solarisation and Gaussian blur.

    Reference:
        Touvron et al., 2022 (arXiv 2204.07118), section 3.3, and the official code's `augment.py`: threshold 128, radius of
        0.1 to 2 pixels.
    """

    num_uniforms = 2

    def __call__(self, uniform):
        """Draws one operation for each image; see `RandAugment.__call__`."""
        operations = np.array([index_of(name) for name in THREE_AUGMENT], "int32")
        chosen = (uniform[:, :1] * len(operations)).astype(int)
        radius = BLUR_RADII[0] + uniform[:, 1:] * (BLUR_RADII[1] - BLUR_RADII[0])
        arguments = np.select([chosen == 1, chosen == 2], [SOLARIZE_THRESHOLD, radius], 0.0)
        return operations[chosen], arguments.astype("float32")


@dataclasses.dataclass(frozen=True)
class ColorJitter:
    """Changes brightness, contrast and saturation by independent random factors, in a random order.

    Attributes:
        strength: The factors lie in `1 - strength .. 1 + strength`.

    Reference:
        torchvision's `ColorJitter(strength, strength, strength)`.
    """

    strength: float

    num_uniforms = 4

    def __call__(self, uniform):
        """Draws three operations for each image; see `RandAugment.__call__`."""
        operations = np.array([index_of(name) for name in JITTERED], "int32")
        order = ORDERS[(uniform[:, 0] * len(ORDERS)).astype(int)]
        factors = 1 + self.strength * (2 * uniform[:, 1:] - 1)
        return operations[order], np.take_along_axis(factors, order, axis=1).astype("float32")


def parse(name):
    """Reads the name of a policy.

    Args:
        name: `"3-augment"`; RandAugment with increasing magnitudes in timm's notation, such as `"rand-m9-mstd0.5-inc1"`;
            `n3` asks for three operations and `p0.3` for the probability 0.3; or AutoAugment, `"original"` or
            `"original-mstd0.5"`.

    Returns:
        A `ThreeAugment`, a `RandAugment` or an `AutoAugment`.

    Raises:
        ValueError: If there is no such policy.

    Example:

    >>> parse("rand-m9-mstd0.5-inc1")
    RandAugment(magnitude=9.0, magnitude_std=0.5, num_operations=2, probability=0.5)
    """
    if name == "3-augment":
        return ThreeAugment()
    kind, *parts = str(name).split("-")
    read = [re.fullmatch(r"(mstd|inc|m|n|p)(\d+(?:\.\d+)?)", part) for part in parts]
    values = {match[1]: float(match[2]) for match in read if match}
    if kind == "original" and all(read) and set(values) <= {"mstd"}:
        return AutoAugment(values.get("mstd", 0.0))
    if kind != "rand" or not all(read) or values.get("inc") != 1 or not 0 <= values.get("m", -1) <= HIGHEST_LEVEL:
        raise ValueError(
            "`auto_augment` must be '3-augment', AutoAugment's 'original' or a RandAugment such as 'rand-m9-mstd0.5-inc1' "
            f"(with inc1, and m in 0..10). Received: auto_augment={name!r}"
        )
    return RandAugment(values["m"], values.get("mstd", 0.0), int(values.get("n", 2)), values.get("p", 0.5))


def _normal(one, two):
    """Standard normal values from two uniform draws (Box and Muller, 1958)."""
    return np.sqrt(-2 * np.log1p(-one)) * np.cos(2 * np.pi * two)
