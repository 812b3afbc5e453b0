"""The samples of every batch and their random draws: the same for every pipeline."""

import dataclasses
import itertools

import numpy as np

from keras_deit.data.augment.augmentation import NONE, Augmentation
from keras_deit.data.pipeline.sample_order import num_samples, rows_of_shard, sample_indices

SAMPLING_VERSION = 1  # to be increased whenever the same seed gives other samples


@dataclasses.dataclass(frozen=True)
class SamplingPlan:
    """The batches of a training run.

    Each method is a pure function of its arguments: a batch can be planned in any order and by any process.

    Attributes:
        num_examples: Number of images.
        batch_size: Number of samples in a batch of this process; the whole batch has `num_shards` times as many.
        image_size: `(height, width)` of the samples in pixels.
        augmentation: `Augmentation`.
        seed: Integer.
        steps: Number of batches in an epoch; None means all whole batches. If there are more steps than batches, the images
            are used again in another order.
        shard, num_shards: Index of this process, and number of processes. Together they read the samples that one process
            with the whole batch would read, mixed in the same way.
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
        """Checks that batches can be drawn.

        Raises:
            ValueError: If a batch needs more samples than an epoch has, or mixing would get a batch of odd size.
        """
        if not self.batches_per_turn:
            raise ValueError(
                f"A batch of {self.global_batch_size} images cannot be drawn from the {self.num_examples} images of the "
                f"dataset. Received: batch_size={self.global_batch_size}. Pass at most {self.num_examples}."
            )
        if self.augmentation.mixes and self.batch_size % 2:
            raise ValueError(
                "Mixup and cutmix pair the images of a batch, so the batch size must be even. Received: "
                f"batch_size={self.batch_size}"
            )

    def with_crops_alone(self):
        """Returns the plan with random crops and repeats as its only augmentation."""
        return dataclasses.replace(self, augmentation=self.augmentation.crops_alone())

    def of_one_process(self):
        """Returns the plan of the whole batches, those of all processes together."""
        return dataclasses.replace(self, batch_size=self.global_batch_size, shard=0, num_shards=1)

    @property
    def global_batch_size(self):
        """Number of samples in a batch of all processes together."""
        return self.batch_size * self.num_shards

    @property
    def batches_per_turn(self):
        """Number of whole batches until every sample of an epoch has been used."""
        return num_samples(self.num_examples, self.augmentation.repeats) // self.global_batch_size

    @property
    def num_batches(self):
        """Number of batches in an epoch."""
        return self.steps or self.batches_per_turn

    def samples(self, epoch, batch):
        """Returns the samples of a batch: indices of the images and indices of the copies, two arrays `(batch_size,)`."""
        turn, batch = divmod(batch, self.batches_per_turn)
        rows = rows_of_shard(self.global_batch_size, self.shard, self.num_shards)
        positions = batch * self.global_batch_size + rows
        return sample_indices(positions, self.num_examples, self.seed, epoch, self.augmentation.repeats, turn)

    def draws(self, epoch, batch):
        """Returns the indices of the images of a batch as `index`, with the draws of `Augmentation.draw`."""
        indices, copies = self.samples(epoch, batch)
        return {"index": indices, **self.augmentation.draw(self.image_size, self.seed, epoch, indices, copies)}

    def mixing(self, epoch, batch):
        """Draws how a batch is mixed, see `keras_deit.data.augment.mixing.draw`."""
        return self.augmentation.draw_mixing(self.image_size, self.seed, epoch, batch)

    def iter_from(self, epoch, batch):
        """Yields `(epoch, batch)` of one batch after the other, without an end."""
        first = epoch * self.num_batches + batch
        return (divmod(position, self.num_batches) for position in itertools.count(first))


@dataclasses.dataclass(frozen=True)
class EvaluationPlan:
    """The batches of an evaluation, which has every image once.

    Attributes:
        num_examples: Number of images.
        batch_size: Number of images in a batch, over all replicas; it is rounded down to a multiple of `multiple_of`.
        image_size: `(height, width)` of the samples in pixels.
        multiple_of: Number of replicas of all processes. The last batch is filled up to a multiple of this number with
            examples of sample weight 0. The weights of the other examples are then a little larger than 1, so that the mean
            that Keras takes over all examples is the mean over the real ones.
        shard, num_shards: Index of this process, and number of processes; each reads an equal part of every batch.

    Example:

    >>> plan = EvaluationPlan(4, batch_size=3, image_size=(8, 8), multiple_of=3)
    >>> [plan.batch(index)[1].tolist() for index in range(plan.num_batches)]
    [[1.5, 1.5, 1.5], [1.5, 0.0, 0.0]]
    """

    num_examples: int
    batch_size: int
    image_size: tuple
    multiple_of: int = 1
    shard: int = 0
    num_shards: int = 1

    @property
    def global_batch_size(self):
        """Number of images in a batch of all processes together, the last batch aside."""
        return max(self.batch_size // self.multiple_of, 1) * self.multiple_of

    @property
    def local_batch_size(self):
        """Number of images in a batch of this process, the last batch aside."""
        return self.global_batch_size // self.num_shards

    @property
    def num_batches(self):
        """Number of batches."""
        return -(-self.num_examples // self.global_batch_size)

    def examples(self):
        """Returns indices and float32 sample weights of all examples of this process, padding included."""
        padding = -(self.num_examples % self.global_batch_size) % self.multiple_of
        indices = np.concatenate([np.arange(self.num_examples), np.zeros(padding, int)])
        weights = np.full(self.num_examples, 1 + padding / self.num_examples)
        weights = np.concatenate([weights, np.zeros(padding)]).astype("float32")
        # Every batch has a multiple of `num_shards` examples, so a process has the same number in each position.
        return indices[self.shard :: self.num_shards], weights[self.shard :: self.num_shards]

    def batch(self, index):
        """Returns indices and sample weights of a batch."""
        indices, weights = self.examples()
        chosen = slice(index * self.local_batch_size, (index + 1) * self.local_batch_size)
        return indices[chosen], weights[chosen]
