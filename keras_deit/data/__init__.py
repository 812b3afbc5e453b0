"""Datasets, augmentation, masks and batches."""

from keras_deit.data.augment.augmentation import Augmentation
from keras_deit.data.augment.patch_masks import random_masks
from keras_deit.data.pipeline.input_pipeline import InputPipeline
from keras_deit.data.sources.image_data import ImageData
from keras_deit.data.sources.image_files import ImageFiles
from keras_deit.data.sources.image_issues import validate
from keras_deit.data.sources.image_records import ImageRecords
from keras_deit.data.sources.labelled_images import LabelledImages
from keras_deit.data.sources.load import load

__all__ = [
    "Augmentation",
    "ImageData",
    "ImageFiles",
    "ImageRecords",
    "InputPipeline",
    "LabelledImages",
    "load",
    "random_masks",
    "validate",
]
