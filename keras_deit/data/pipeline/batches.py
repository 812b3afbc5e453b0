"""Batches for `fit`, the same on every backend."""

import keras
import numpy as np

from keras_deit.data.augment.augmentation import NONE
from keras_deit.data.augment.mixing import mix
from keras_deit.data.augment.pillow_transform import ImageTransform
from keras_deit.data.augment.shift import random_shift
from keras_deit.data.pipeline.sampling_plan import SamplingPlan
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD


class Batches(keras.utils.PyDataset):
    """Labelled images as normalised batches with one-hot labels, made by NumPy and Pillow where they are asked for.

    The order and the augmentation of an epoch are drawn from (seed, epoch) and the place alone, so that a run that goes on
    from an epoch sees what the uninterrupted one would have seen. Pass `shuffle=False` to `fit`, since this shuffles by
    itself, and `FollowEpochs(batches)` as a callback where the numbers of the epochs matter.

    Args:
        data: Labelled images, see `keras_deit.data.load`.
        batch_size: Number of images in a batch, over all replicas.
        training: Whether to shuffle, to augment and to drop a short last batch. Otherwise every image comes once.
        steps: Number of batches in an epoch; None means all. More than there are begin again.
        image_size: `(height, width)` of the result; None leaves images in memory as they are.
        augmentation: `Augmentation` of training images.
        shift_pixels: Largest random shift while training, of images in memory that are left as they are.
        multiple_of: The short last batch of an evaluation is filled up to a multiple of this (the number of replicas)
            with examples of sample weight 0. The others weigh a little more than 1 then, such that a loss whose mean Keras
            takes over all of them is the mean over the real ones.
        seed: Integer.
        epoch: The epoch to begin with.
        mean, std: Normalisation, of pixels in 0..1.
        crop_ratio: Share of the resized image that the centre crop keeps, in evaluation and where there is no random crop.
        shard, num_shards: Which of how many processes this is; the batch size is this one's.

    Yields:
        `(images, labels)`, float32 `(batch, height, width, 3)` and `(batch, classes)`; in evaluation
        `(images, labels, sample_weight)`.

    Raises:
        ValueError: If a batch of training images is larger than the dataset.
    """

    def __init__(
        self,
        data,
        batch_size,
        training=False,
        steps=None,
        image_size=None,
        augmentation=NONE,
        shift_pixels=0,
        multiple_of=1,
        seed=0,
        epoch=0,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop_ratio=1.0,
        shard=0,
        num_shards=1,
    ):
        super().__init__()
        self.data = data
        self.augmentation = augmentation
        self.shift_pixels = shift_pixels
        self.epoch = epoch
        self._views = ImageTransform(image_size, mean, std, crop_ratio)
        if training:
            self.plan = SamplingPlan(len(data), batch_size, image_size, augmentation, seed, steps, shard, num_shards)
            self.plan.check()
        else:
            self.plan = None
            self._evaluation = evaluation_batches(len(data), batch_size, multiple_of)

    @property
    def num_batches(self):
        """Number of batches in an epoch."""
        return self.plan.num_batches if self.plan else len(self._evaluation)

    def on_epoch_end(self):
        """Goes on to the next epoch's order and augmentation."""
        self.epoch += 1

    def __getitem__(self, index):
        if self.plan is None:
            chosen, weights = self._evaluation[index]
            return *self._as_they_are(chosen), weights
        if self._views.image_size is None:
            return self._shifted(index)
        return self._augmented(index)

    def _augmented(self, index):
        numbers = self.plan.numbers(self.epoch, index)
        images, labels = [], []
        for place, example in enumerate(numbers["index"]):
            image, label = self.data[example]
            row = {name: values[place] for name, values in numbers.items()}
            images.append(self._view(example, self._views.for_training, image, row, self.augmentation))
            labels.append(label)
        images, labels = np.stack(images), one_hot(labels, self.data.num_classes)
        return (
            mix(images, labels, *self.plan.mixing(self.epoch, index)) if self.augmentation.mixes else (images, labels)
        )

    def _shifted(self, index):
        chosen, _ = self.plan.views(self.epoch, index)
        images = self.data.images[chosen]
        if self.shift_pixels:
            generator = np.random.default_rng([self.plan.seed, self.epoch, 0, index])
            images = random_shift(images, self.shift_pixels, generator)
        return self._views.normalized(images), one_hot(self.data.labels[chosen], self.data.num_classes)

    def _as_they_are(self, chosen):
        if self._views.image_size is None:
            return self._views.normalized(self.data.images[chosen]), one_hot(
                self.data.labels[chosen], self.data.num_classes
            )
        images, labels = zip(*(self.data[index] for index in chosen), strict=True)
        images = [
            self._view(*one) for one in zip(chosen, [self._views.for_evaluation] * len(images), images, strict=True)
        ]
        return np.stack(images), one_hot(labels, self.data.num_classes)

    def _view(self, example, make, image, *arguments):
        try:
            return make(image, *arguments)
        except ValueError as error:
            name = self.data.paths[example] if hasattr(self.data, "paths") else f"number {example} of {self.data.name}"
            raise ValueError(f"{name}: {error} `keras-deit validate-data` names all that cannot be read.") from error


def evaluation_batches(num_examples, batch_size, multiple_of=1):
    """Which examples make up the batches of an evaluation, and their weights; see `Batches`.

    Args:
        num_examples: Number of images.
        batch_size: Number of images in a batch.
        multiple_of: What the last batch is filled up to a multiple of.

    Returns:
        List of pairs of arrays: indices, and float32 sample weights.

    Example:

    >>> [weights.tolist() for _, weights in evaluation_batches(4, batch_size=3, multiple_of=2)]
    [[1.25, 1.25, 1.25], [1.25, 0.0]]
    """
    padding = -(num_examples % batch_size) % multiple_of
    indices = np.concatenate([np.arange(num_examples), np.zeros(padding, int)])
    weights = np.concatenate([np.full(num_examples, 1 + padding / num_examples), np.zeros(padding)]).astype("float32")
    starts = range(0, num_examples, batch_size)
    return [(indices[start : start + batch_size], weights[start : start + batch_size]) for start in starts]


def one_hot(labels, num_classes):
    """Labels as rows `(batch, num_classes)`, float32; of -1, no label, a row of zeros."""
    return np.vstack([np.eye(num_classes, dtype="float32"), np.zeros(num_classes, "float32")])[np.asarray(labels)]


class FollowEpochs(keras.callbacks.Callback):
    """Gives batches the number of the epoch that `fit` is in; Keras ends an epoch of its own before the first.

    Args:
        batches: `Batches`.
    """

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch = epoch
