"""The augmentation of training images, and the random draws that decide it.

The draws of a sample depend on (seed, epoch, index of the image, copy) alone. A sample is therefore the same in any order,
beside any other samples and after a restart, whichever pipeline computes its pixels.
"""

import dataclasses

import numpy as np

from keras_deit.data.augment import crops, erasing, mixing
from keras_deit.data.augment.policies import ColorJitter, parse
from keras_deit.recipes.fields import check_settings, describe_settings
from keras_deit.recipes.recipe import AugmentationFields

BATCH_KEY = 2**32 - 1  # stands for the index of an image in the random key of a batch; no dataset has as many images


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
        """Returns an augmentation that crops and repeats as this one does, and does nothing else."""
        return Augmentation(crop_scale=self.crop_scale, repeats=self.repeats)

    @property
    def mixes(self):
        """Whether the images of a batch are mixed."""
        return bool(self.mixup or self.cutmix)

    def policies(self):
        """Returns the policies that choose operations, in the order of their application."""
        named = [parse(self.auto_augment)] if self.auto_augment else []
        return [*named, ColorJitter(self.color_jitter)] if self.color_jitter else named

    def draw(self, image_size, seed, epoch, indices, copies):
        """Draws the augmentation of some samples.

        Args:
            image_size: `(height, width)` of the samples in pixels.
            seed, epoch: Integers.
            indices, copies: Integer arrays `(samples,)`, see `keras_deit.data.pipeline.sample_order.sample_indices`.

        Returns:
            Dictionary of arrays, one row a sample: `crop` (see `crops.crop_attempts`), `flip` (booleans), `erased`
            (see `erasing.erased_boxes`) and `noise`, the offset of the rectangle's noise in `erasing.noise_table`. With a
            policy also `operations` and `arguments` (see `policies.RandAugment`).

        Raises:
            ValueError: If the images are too large for the noise table.

        Example:

        >>> draws = Augmentation(flip=0.5).draw((224, 224), seed=0, epoch=0, indices=[7, 8], copies=[0, 0])
        >>> draws["flip"].shape
        (2,)
        """
        policies = self.policies()
        # Each step of the augmentation has its own columns, so changing one step leaves the draws of the others unchanged.
        steps = [crops.NUM_UNIFORMS, 1, 2 + erasing.NUM_UNIFORMS, *(policy.num_uniforms for policy in policies)]
        uniform = np.split(_uniform(seed, epoch, indices, copies, sum(steps)), np.cumsum(steps)[:-1], axis=1)
        crop, flip, erase, *of_policies = uniform
        is_erased, noise, boxes = np.split(erase, [1, 2], axis=1)
        num_offsets = erasing.num_noise_offsets(image_size) if self.erasing else 0
        draws = {
            "crop": crops.crop_attempts(crop, self.crop_scale or (1, 1)),
            "flip": flip[:, 0] < self.flip,
            "erased": erasing.erased_boxes(boxes, *image_size) * (is_erased < self.erasing),
            "noise": (noise[:, 0] * num_offsets).astype("int32"),
        }
        if policies:
            chosen = [policy(values) for policy, values in zip(policies, of_policies, strict=True)]
            draws["operations"], draws["arguments"] = map(np.hstack, zip(*chosen, strict=True))
        return draws

    def draw_mixing(self, image_size, seed, epoch, batch):
        """Draws how a batch is mixed, see `keras_deit.data.augment.mixing.draw`."""
        generator = np.random.default_rng([seed, epoch, BATCH_KEY, batch])
        return mixing.draw(generator, *image_size, self.mixup, self.cutmix)


NONE = Augmentation()


def _uniform(seed, epoch, indices, copies, count):
    """Uniform draws in 0..1, `(samples, count)`, of a generator keyed by seed, epoch, index and copy."""
    generator, rows = np.random.Philox(key=[seed, epoch]), []
    start = generator.state  # to set the state is several times faster than to make another generator
    for index, copy in zip(indices, copies, strict=True):
        start["state"]["counter"][2:] = copy, index
        generator.state = start
        rows.append(generator.random_raw(count))
    return (np.stack(rows) >> np.uint64(11)) * 2.0**-53
