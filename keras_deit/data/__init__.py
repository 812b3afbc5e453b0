"""Datasets, augmentation, masks and batches."""

from keras_deit.data.augment.augmentation import Augmentation
from keras_deit.data.augment.masks import random_masks
from keras_deit.data.pipeline.batches import Batches, FollowEpochs
from keras_deit.data.pipeline.input_pipeline import PIPELINES, InputPipeline, InputStallTimer
from keras_deit.data.pipeline.sampling_plan import SamplingPlan
from keras_deit.data.pipeline.teacher_cache import TeacherCache
from keras_deit.data.sources.kinds import ImageData, ImageFiles, ImageRecords
from keras_deit.data.sources.load import load
from keras_deit.data.sources.validation import FATAL_ISSUES, IMAGE_ISSUES, Report, read_report, validate

__all__ = [
    "FATAL_ISSUES",
    "IMAGE_ISSUES",
    "PIPELINES",
    "Augmentation",
    "Batches",
    "FollowEpochs",
    "ImageData",
    "ImageFiles",
    "ImageRecords",
    "InputPipeline",
    "InputStallTimer",
    "Report",
    "SamplingPlan",
    "TeacherCache",
    "load",
    "random_masks",
    "read_report",
    "validate",
]
