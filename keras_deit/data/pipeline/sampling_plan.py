"""Which views make up which batch, and the random numbers of each: the same for every way of computing the pixels."""

import dataclasses

from keras_deit.data.augment.augmentation import NONE, Augmentation
from keras_deit.data.pipeline.sampling import num_views, views

SAMPLING_VERSION = 1  # to be counted up whenever the same seed comes to show something else


@dataclasses.dataclass(frozen=True)
class SamplingPlan:
    """The batches of a training run.

    Attributes:
        num_examples: Number of images.
        batch_size: ImageTransform in a batch of this process.
        image_size: `(height, width)` of a view.
        augmentation: `Augmentation`.
        seed: Integer.
        steps: Batches in an epoch; None means all whole ones. More than there are begin again, in another order.
        shard, num_shards: Which of how many processes this is.
    """

    num_examples: int
    batch_size: int
    image_size: tuple
    augmentation: Augmentation = NONE
    seed: int = 0
    steps: int | None = None
    shard: int = 0
    num_shards: int = 1

    def check(self):
        """Raises a ValueError if there are fewer views than a batch takes, or mixing has an odd batch."""
        if not self.available:
            raise ValueError(
                f"A batch of {self.batch_size} images cannot be drawn from the {self.num_examples} of the "
                "dataset. Choose a smaller batch size."
            )
        if self.augmentation.mixes and self.batch_size % 2:
            raise ValueError(
                "Mixup and cutmix pair the images of a batch, so its size must be even. Received: "
                f"batch_size={self.batch_size}"
            )

    def with_crops_alone(self):
        """The same plan without what layers may take the place of."""
        return dataclasses.replace(self, augmentation=self.augmentation.crops_alone())

    @property
    def available(self):
        """Whole batches among the views of an epoch."""
        return num_views(self.num_examples, self.augmentation.repeats, self.num_shards) // self.batch_size

    @property
    def num_batches(self):
        """Batches in an epoch."""
        return self.steps or self.available

    def views(self, epoch, batch):
        """Indices of the images of a batch, and the numbers of their copies."""
        turn, place = divmod(batch, self.available)
        share = dict(repeats=self.augmentation.repeats, shard=self.shard, num_shards=self.num_shards, turn=turn)
        first = place * self.batch_size
        return views(first, first + self.batch_size, self.num_examples, self.seed, epoch, **share)

    def numbers(self, epoch, batch):
        """The random numbers of a batch's views, with their `index`: see `Augmentation.draw`."""
        indices, copies = self.views(epoch, batch)
        return {"index": indices, **self.augmentation.draw(self.image_size, self.seed, epoch, indices, copies)}

    def mixing(self, epoch, batch):
        """How a batch is mixed: see `keras_deit.data.augment.mixing.draw`."""
        return self.augmentation.draw_mixing(self.image_size, self.seed, epoch, batch * self.num_shards + self.shard)
