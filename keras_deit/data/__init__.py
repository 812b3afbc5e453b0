"""Datasets, augmentation and batches."""

from keras_deit.data.batches import Batches, FollowEpochs
from keras_deit.data.datasets import ImageData, load

__all__ = ["Batches", "FollowEpochs", "ImageData", "load"]
