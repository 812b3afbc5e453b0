"""Datasets, augmentation and batches."""

from keras_deit.data.batches import Batches
from keras_deit.data.datasets import ImageData, load

__all__ = ["Batches", "ImageData", "load"]
