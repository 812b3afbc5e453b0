"""Datasets, augmentation, masks and batches."""

from keras_deit.data.batches import Batches, FollowEpochs
from keras_deit.data.datasets import ImageData, load
from keras_deit.data.masks import random_masks

__all__ = ["Batches", "FollowEpochs", "ImageData", "load", "random_masks"]
