"""What is done to training images, and the random numbers that decide it.

The numbers of a view follow from (seed, epoch, index, copy) alone, so that it looks the same in any order, beside any other
and after a restart, whatever computes its pixels.
"""

import dataclasses

import numpy as np

from keras_deit.data.augment import mixing
from keras_deit.data.augment.crops import CROP_NUMBERS, ERASING_NUMBERS, crop_attempts, erased_boxes
from keras_deit.data.augment.policies import ColorJitter, parse
from keras_deit.recipes.fields import check_settings, describe_settings
from keras_deit.recipes.recipe import AugmentationFields

NOISE_SIZE = 2**22  # of the table that erased rectangles are filled from
MIXING = 2**32 - 1  # in the place of an index, which no dataset reaches, for the numbers of a batch


@describe_settings
@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation(AugmentationFields):
    """The augmentation of training images. The steps are applied in the order of the attributes.

    Raises:
        ValueError: If a setting does not accept its value.

    Reference:
        Touvron et al., 2020 (arXiv 2012.12877), table 9; Touvron et al., 2022 (arXiv 2204.07118), section 3.3.
    """

    def __post_init__(self):
        check_settings(self)
        self.policies()  # raises if the policy is unknown

    @classmethod
    def of(cls, recipe):
        """The augmentation of a `keras_deit.recipes.Recipe`, or of whatever else has its fields."""
        return cls(**{field.name: getattr(recipe, field.name) for field in dataclasses.fields(cls)})

    def crops_alone(self):
        """The same crops, as often, and nothing else."""
        return Augmentation(crop_scale=self.crop_scale, repeats=self.repeats)

    @property
    def mixes(self):
        """Whether images of a batch are mixed."""
        return bool(self.mixup or self.cutmix)

    def policies(self):
        """What chooses operations, in their order."""
        named = [parse(self.auto_augment)] if self.auto_augment else []
        return [*named, ColorJitter(self.color_jitter)] if self.color_jitter else named

    def draw(self, image_size, seed, epoch, indices, copies):
        """Draws what is done to some views.

        Args:
            image_size: `(height, width)` of the result.
            seed, epoch: Integers.
            indices, copies: Integer arrays `(views,)`, as from `keras_deit.data.pipeline.sampling.views`.

        Returns:
            Dictionary of arrays with a row for each view: `crop` (see `crops.crop`), `flip` (booleans),
            `erased` (see `erased_boxes`) and `noise`, the place in `noise_table` where the rectangle's noise begins; and
            where there is a policy `operations` and `arguments` (see `keras_deit.data.augment.policies`).

        Raises:
            ValueError: If the images are too large for the table of noise.

        Example:

        >>> numbers = Augmentation(flip=0.5).draw((224, 224), seed=0, epoch=0, indices=[7, 8], copies=[0, 0])
        >>> numbers["flip"].shape
        (2,)
        """
        policies = self.policies()
        # Every part has numbers of its own, so that changing one of them leaves the others as they are.
        parts = {"crop": CROP_NUMBERS, "flip": 1, "erasing": 2 + ERASING_NUMBERS}
        parts |= {place: policy.numbers for place, policy in enumerate(policies)}
        uniform = _uniform(seed, epoch, indices, copies, sum(parts.values()))
        uniform = dict(zip(parts, np.split(uniform, np.cumsum(list(parts.values()))[:-1], axis=1), strict=True))
        chosen = [policy(uniform[place]) for place, policy in enumerate(policies)]
        is_erased, noise, boxes = np.split(uniform["erasing"], [1, 2], axis=1)
        room = NOISE_SIZE - 3 * image_size[0] * image_size[1]
        if self.erasing and room < 0:
            raise ValueError(
                f"Erasing fills images of up to {NOISE_SIZE // 3:,} pixels. Received: image_size={image_size}"
            )
        numbers = {
            "crop": crop_attempts(uniform["crop"], self.crop_scale or (1, 1)),
            "flip": uniform["flip"][:, 0] < self.flip,
            "erased": erased_boxes(boxes, *image_size) * (is_erased < self.erasing),
            "noise": (noise[:, 0] * room).astype("int32"),
        }
        if chosen:
            numbers["operations"], numbers["arguments"] = map(np.hstack, zip(*chosen, strict=True))
        return numbers

    def draw_mixing(self, image_size, seed, epoch, batch):
        """Draws how a batch is mixed: see `keras_deit.data.augment.mixing.draw`."""
        generator = np.random.default_rng([seed, epoch, MIXING, batch])
        return mixing.draw(generator, *image_size, self.mixup, self.cutmix)


NONE = Augmentation()


def noise_table():
    """Standard normal numbers `(NOISE_SIZE,)`, float32, the same in every run."""
    return np.random.default_rng(0).standard_normal(NOISE_SIZE, dtype="float32")


def _uniform(seed, epoch, indices, copies, count):
    """Numbers in 0..1, `(views, count)`, of a generator that is keyed by all four."""
    rows = (
        np.random.Philox(key=[seed, epoch], counter=[0, 0, int(copy), int(index)]).random_raw(count)
        for index, copy in zip(indices, copies, strict=True)
    )
    return (np.stack(list(rows)) >> np.uint64(11)) * 2.0**-53
