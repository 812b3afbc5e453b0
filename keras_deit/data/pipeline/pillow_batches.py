"""Batches that NumPy and Pillow make, for the pipelines without TensorFlow."""

import contextlib

import keras
import numpy as np

from keras_deit.data.augment.mixing import mix
from keras_deit.data.augment.pillow_transform import ImageTransform
from keras_deit.data.sources.labelled_images import check_labels


class TrainingBatches:
    """Training batches; each is a pure function of its epoch and index.

    Args:
        data: `keras_deit.data.LabelledImages`.
        plan: `SamplingPlan`.
        mean, std: Normalisation of each channel, for pixels in 0..1.
        crop_ratio: Fraction of the resized image that the central crop keeps, where there is no random crop.
        interpolation, squash: How images are resized for the central crop, see `keras_deit.ImageProcessor`.
    """

    def __init__(self, data, plan, mean, std, crop_ratio, interpolation="bicubic", squash=False):
        self.data = data
        self.plan = plan
        self.transform = ImageTransform(plan.image_size, mean, std, crop_ratio, data.bit_depth, interpolation, squash)

    def batch(self, epoch, index, empty=np.empty):
        """Makes a batch.

        Args:
            epoch: Integer from 0.
            index: Index of the batch in the epoch.
            empty: Function of a shape and a dtype that allocates the array of the images.

        Returns:
            `(images, labels)`: float32 arrays `(batch, height, width, 3)`, normalised, and `(batch, classes)`, one-hot or
            mixed.

        Raises:
            ValueError: If an image cannot be read; the message names it.
        """
        if self.transform.leaves_unchanged(self.data, self.plan.augmentation):
            return _unchanged(self.data, self.plan.samples(epoch, index)[0], self.transform)
        draws = self.plan.draws(epoch, index)
        batch = empty((len(draws["index"]), *self.plan.image_size, 3), "float32")
        with _freed_on_error(batch):
            labels = self._fill(np.asarray(batch), draws)
            if self.plan.augmentation.mixes:
                _, labels = mix(np.asarray(batch), labels, *self.plan.mixing(epoch, index))
        return batch, labels

    def _fill(self, images, draws):
        """Writes the samples to an array and returns their labels, see `batch`."""
        labels = []
        for row, example in enumerate(draws["index"]):
            image, label = self.data[example]
            of_sample = {name: values[row] for name, values in draws.items()}
            with _naming_image(self.data, example):
                self.transform.training_sample(image, of_sample, self.plan.augmentation, out=images[row])
            labels.append(label)
        return _rows(labels, self.data)


class EvaluationBatches(keras.utils.PyDataset):
    """Evaluation batches, for `evaluate` and `validation_data`.

    Args:
        data: `keras_deit.data.LabelledImages`.
        plan: `EvaluationPlan`.
        mean, std: Normalisation of each channel, for pixels in 0..1.
        crop_ratio: Fraction of the resized image that the central crop keeps, where there is no random crop.
        interpolation, squash: How images are resized for the central crop, see `keras_deit.ImageProcessor`.

    Yields:
        `(images, labels, sample_weight)`: float32 arrays `(batch, height, width, 3)`, `(batch, classes)` and `(batch,)`.
    """

    def __init__(self, data, plan, mean, std, crop_ratio, interpolation="bicubic", squash=False):
        super().__init__()
        self.data = data
        self.plan = plan
        self.transform = ImageTransform(plan.image_size, mean, std, crop_ratio, data.bit_depth, interpolation, squash)

    @property
    def num_batches(self):
        """Number of batches."""
        return self.plan.num_batches

    def __getitem__(self, index):
        indices, weights = self.plan.batch(index)
        if self.transform.leaves_unchanged(self.data):
            return *_unchanged(self.data, indices, self.transform), weights
        images, labels = [], []
        for example in indices:
            image, label = self.data[example]
            with _naming_image(self.data, example):
                images.append(self.transform.evaluation_sample(image))
            labels.append(label)
        return np.stack(images), _rows(labels, self.data), weights


def one_hot(labels, num_classes):
    """Converts labels to one-hot rows.

    Args:
        labels: Integers `(batch,)`; -1 for an unlabelled image.
        num_classes: Number of classes.

    Returns:
        float32 array `(batch, num_classes)`; the row of an unlabelled image is zero.

    Example:

    >>> one_hot([1, -1], num_classes=2).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    return np.vstack([np.eye(num_classes, dtype="float32"), np.zeros(num_classes, "float32")])[np.asarray(labels)]


def _rows(labels, data):
    check_labels(data.name, labels, data.num_classes)  # a dataset of the user's own checks none
    return one_hot(labels, data.num_classes)


def _unchanged(data, indices, transform):
    """A batch of images in memory that are only normalised, without a loop over them."""
    return transform.normalize(data.images[indices]), _rows(data.labels[indices], data)


@contextlib.contextmanager
def _freed_on_error(batch):
    """Frees the shared memory of an array, if it has any, after an error. Nobody receives the array then."""
    try:
        yield
    except BaseException:
        if hasattr(batch, "unlink_on_del"):  # `grain.multiprocessing.SharedMemoryArray`
            batch.unlink_on_del()
        raise


@contextlib.contextmanager
def _naming_image(data, example):
    """Adds the name of an image to the error about it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"{data.describe(example)}: {error} `keras-deit validate-data` lists all unreadable images."
        ) from error
