"""Batches for `fit`, the same on every backend."""

import keras
import numpy as np

from keras_deit.data.augmentation import random_shift
from keras_deit.imagenet import IMAGENET_MEAN, IMAGENET_STD


class Batches(keras.utils.PyDataset):
    """Labelled images as normalised batches with one-hot labels.

    The order and the augmentation of an epoch are drawn from (seed, epoch, batch) alone, so that a run that goes on from
    an epoch sees what the uninterrupted one would have seen. Pass `shuffle=False` to `fit`, since this shuffles by itself,
    and `FollowEpochs(batches)` as a callback where the numbers of the epochs matter.

    Args:
        data: `keras_deit.data.ImageData`.
        batch_size: Number of images in a batch, over all replicas.
        training: Whether to shuffle, to augment and to drop a short last batch. Otherwise every image comes once.
        steps: Number of batches in an epoch; None means all. More than there are begin again.
        shift_pixels: Largest random shift while training.
        multiple_of: The short last batch of an evaluation is filled up to a multiple of this (the number of replicas)
            with examples of sample weight 0. The others weigh a little more than 1 then, such that a loss whose mean Keras
            takes over all of them is the mean over the real ones.
        seed: Integer.
        epoch: The epoch to begin with.
        mean, std: Normalisation, of pixels in 0..1.

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
        shift_pixels=0,
        multiple_of=1,
        seed=0,
        epoch=0,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ):
        super().__init__()
        self.data = data
        self.batch_size = batch_size
        self.training = training
        self.shift_pixels = shift_pixels
        self.multiple_of = multiple_of
        self.seed = seed
        self.epoch = epoch
        self.mean = np.asarray(mean, "float32") * 255
        self.std = np.asarray(std, "float32") * 255
        self.available = len(data.labels) // batch_size if training else -(-len(data.labels) // batch_size)
        if self.available == 0:
            raise ValueError(
                f"A batch of {batch_size} images cannot be drawn from the {len(data.labels)} of {data.name!r}. Choose a "
                "smaller batch size."
            )
        self.steps = steps or self.available
        short = len(data.labels) % batch_size
        self._real_weight = 1 + -short % multiple_of / len(data.labels)

    @property
    def num_batches(self):
        """Number of batches in an epoch."""
        return self.steps

    def on_epoch_end(self):
        """Goes on to the next epoch's order and augmentation."""
        self.epoch += 1

    def __getitem__(self, index):
        if not self.training:
            return self._evaluation_batch(index)
        rounds, position = divmod(index, self.available)
        order = np.random.default_rng([self.seed, self.epoch, rounds]).permutation(len(self.data.labels))
        chosen = order[position * self.batch_size : (position + 1) * self.batch_size]
        images = self.data.images[chosen]
        if self.shift_pixels:
            images = random_shift(images, self.shift_pixels, np.random.default_rng([self.seed, self.epoch, 0, index]))
        return self._normalised(images), self._one_hot(chosen)

    def _evaluation_batch(self, index):
        chosen = np.arange(index * self.batch_size, min((index + 1) * self.batch_size, len(self.data.labels)))
        padding = -len(chosen) % self.multiple_of
        weights = np.concatenate([np.full(len(chosen), self._real_weight), np.zeros(padding)]).astype("float32")
        chosen = np.concatenate([chosen, np.zeros(padding, chosen.dtype)])
        return self._normalised(self.data.images[chosen]), self._one_hot(chosen), weights

    def _normalised(self, images):
        return (images.astype("float32") - self.mean) / self.std

    def _one_hot(self, chosen):
        return np.eye(self.data.num_classes, dtype="float32")[self.data.labels[chosen]]


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
