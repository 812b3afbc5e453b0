"""Datasets, augmentation, masks and batches."""

from keras_deit.data.augmentation import Augmentation
from keras_deit.data.batches import Batches, FollowEpochs
from keras_deit.data.datasets import load
from keras_deit.data.feed import PIPELINES, Feed, Waiting
from keras_deit.data.masks import random_masks
from keras_deit.data.plan import Plan
from keras_deit.data.sources import ImageData, ImageFiles, ImageRecords
from keras_deit.data.teacher_cache import TeacherCache
from keras_deit.data.validation import KINDS, LOST, Report, read_report, validate

__all__ = [
    "KINDS",
    "LOST",
    "PIPELINES",
    "Augmentation",
    "Batches",
    "Feed",
    "FollowEpochs",
    "ImageData",
    "ImageFiles",
    "ImageRecords",
    "Plan",
    "Report",
    "TeacherCache",
    "Waiting",
    "load",
    "random_masks",
    "read_report",
    "validate",
]
