"""The images of the study: splits in memory, of one size."""

import dataclasses
import functools

import numpy as np

from keras_deit.data import ImageData, InputPipeline, load
from keras_deit.data.pipeline.input_pipeline import PIXELS
from keras_deit.reproduction.spec import TEST, VALIDATION
from keras_deit.reproduction.subsets import labelled_indices, validation_indices

IMAGE_SIZE = 32  # of images that do not have one size
PATCHES = 4  # along a side
READ_AT_ONCE = 256  # images


@functools.cache
def load_split(dataset, split):
    """Loads a split of a dataset into memory.

    Args:
        dataset: Name or path that `keras_deit.data.load` takes.
        split: `"train"` or `"test"`.

    Returns:
        `keras_deit.data.ImageData`, whose height and width are equal multiples of `PATCHES`.
    """
    images = load(dataset, split)
    size = -(-max(images.image_size or [IMAGE_SIZE]) // PATCHES) * PATCHES
    if images.in_memory and images.image_size:
        return images.resized(size)
    batches = InputPipeline(images, image_size=size, **PIXELS).evaluation_batches(READ_AT_ONCE)
    pixels, rows = zip(*((np.asarray(pixels), np.asarray(rows)) for pixels, rows, _ in batches), strict=True)
    rows = np.concatenate(rows)
    labels = np.where(rows.any(axis=-1), rows.argmax(axis=-1), -1)
    pixels = np.concatenate(pixels).round().clip(0, 255).astype("uint8")
    return ImageData(images.name, pixels, labels, images.class_names)


@functools.cache
def training_pool(dataset):
    """The training images without those of the validation split, an `ImageData`."""
    train = load_split(dataset, "train")
    return train.select(np.setdiff1d(np.arange(len(train)), validation_indices(train.labels)))


def evaluation_images(dataset, split):
    """The images on which a training is evaluated.

    Args:
        dataset: Name or path of the dataset.
        split: `VALIDATION` or `TEST`. The test split is not read for the validation split.

    Returns:
        `ImageData` with labels.
    """
    if split == VALIDATION:
        train = load_split(dataset, "train")
        return train.select(validation_indices(train.labels))
    assert split == TEST
    test = load_split(dataset, "test")
    return test.select(test.labels >= 0)


def training_images(training):
    """The images that a training uses.

    Args:
        training: `Training`.

    Returns:
        `ImageData`: the labelled subset; with `unlabelled`, also the other images without their labels. The labelled images
        then occur several times, so that about half the images of a batch have a label.
    """
    pool = training_pool(training.dataset)
    labelled = labelled_indices(pool.labels, training.labels, training.seed)
    if not training.setting.unlabelled:
        return pool.select(labelled)
    others = np.setdiff1d(np.arange(len(pool)), labelled)
    hidden = dataclasses.replace(pool, labels=np.where(np.isin(np.arange(len(pool)), labelled), pool.labels, -1))
    copies = max(1, round(len(others) / len(labelled)))
    return hidden.select(np.concatenate([np.tile(labelled, copies), others]))
