"""The input pipelines that are timed: this package's, timm's and keras-cv's, and decoding only.

Each function takes a `PipelineSetting` and a folder of JPEG files, and returns an iterable of batches.
"""

import pathlib

import numpy as np

from keras_deit.benchmark.setting import NUM_CLASSES
from keras_deit.data import Augmentation, ImageFiles, InputPipeline
from keras_deit.data.pipeline.grain_pipeline import training_stream
from keras_deit.data.pipeline.pillow_batches import TrainingBatches
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.recipes import get
from keras_deit.runtime.devices import import_tensorflow

WARM_UP_BATCHES = 4


def by_tf_data(setting, folder):
    """This package's training batches by `tf.data`, with the augmentation of the recipe `deit`."""
    return _inputs(setting, folder, pipeline="tf.data").training_batches()


def by_grain(setting, folder):
    """This package's training batches by Grain, with the augmentation of the recipe `deit`."""
    # Not by `InputPipeline.training_batches`, which refuses Grain under the TensorFlow backend.
    inputs = _inputs(setting, folder)
    batches = TrainingBatches(inputs.data, inputs.plan, inputs.mean, inputs.std, inputs.crop_ratio)
    return training_stream(batches, num_workers=setting.num_workers)


def _inputs(setting, folder, **options):
    return InputPipeline(
        _labelled_files(setting, folder),
        image_size=setting.image_size,
        batch_size=setting.batch_size,
        augmentation=Augmentation.of(get("deit")),
        crop_ratio=0.875,
        num_workers=setting.num_workers,
        **options,
    )


def decoding_only(setting, folder):
    """Decodes a crop of about half of each file's area, and does nothing else: a bound on the speed of any pipeline."""
    tf = import_tensorflow(purpose="The time of decoding alone")

    def first_pixel(path):
        content = tf.io.read_file(path)
        shape = tf.io.extract_jpeg_shape(content)
        box = [shape[0] // 7, shape[1] // 7, shape[0] * 5 // 7, shape[1] * 5 // 7]
        return tf.image.decode_and_crop_jpeg(content, box, channels=3)[0, 0]

    paths, _ = _endless_files(setting, folder)
    dataset = tf.data.Dataset.from_tensor_slices(paths)
    return dataset.map(first_pixel, num_parallel_calls=setting.num_workers).batch(setting.batch_size)


def by_timm(setting, folder):
    """timm's transform in PyTorch's worker processes, with the same augmentation."""
    import timm.data
    import timm.data.auto_augment
    import torch
    from PIL import Image

    _repair_posterize(timm.data.auto_augment)
    transform = timm.data.create_transform(
        setting.image_size,
        is_training=True,
        color_jitter=0.3,
        auto_augment="rand-m9-mstd0.5-inc1",
        interpolation="bicubic",
        re_prob=0.25,
        re_mode="pixel",
        re_count=1,
    )
    paths, labels = _endless_files(setting, folder)

    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return len(paths)

        def __getitem__(self, index):
            return transform(Image.open(paths[index]).convert("RGB")), labels[index]

    torch.set_num_threads(1)
    mixup = timm.data.Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=0.1, num_classes=NUM_CLASSES)
    loader = torch.utils.data.DataLoader(Images(), setting.batch_size, num_workers=setting.num_workers)
    return (mixup(images, labels) for images, labels in loader)


def _repair_posterize(auto_augment):
    """Recent versions of Pillow refuse timm's posterisation to zero bits."""
    posterize = auto_augment.posterize
    auto_augment.NAME_TO_OP["PosterizeIncreasing"] = lambda image, bits, **other: posterize(
        image, max(1, bits), **other
    )


def by_keras_cv(setting, folder):
    """keras-cv's layers in `tf.data`: crop, flip, RandAugment and mixing, without erasing."""
    import keras_cv.layers as layers
    import tensorflow as tf

    size = (setting.image_size, setting.image_size)
    crop = layers.RandomCropAndResize(size, crop_area_factor=(0.08, 1.0), aspect_ratio_factor=(3 / 4, 4 / 3))
    operations = layers.RandAugment(value_range=(0, 255), augmentations_per_image=2, magnitude=0.9, rate=0.5)
    mix = layers.RandomChoice([layers.MixUp(alpha=0.8), layers.CutMix(alpha=1.0)], batchwise=True)
    steps = [layers.RandomFlip("horizontal"), operations, mix]

    def read(path, label):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return {"images": crop(tf.cast(image, tf.float32)), "labels": tf.one_hot(label, NUM_CLASSES)}

    def augment(batch):
        for step in steps:
            batch = step(batch, training=True)
        mean, std = (tf.constant(values, tf.float32) * 255 for values in (IMAGENET_MEAN, IMAGENET_STD))
        return (batch["images"] - mean) / std, batch["labels"]

    dataset = tf.data.Dataset.from_tensor_slices(_endless_files(setting, folder))
    dataset = dataset.map(read, num_parallel_calls=setting.num_workers).batch(setting.batch_size)
    return dataset.map(augment, num_parallel_calls=setting.num_workers).prefetch(2)


PIPELINES = {
    "decoding only": decoding_only,
    "tf.data": by_tf_data,
    "grain": by_grain,
    "timm": by_timm,
    "keras-cv": by_keras_cv,
}
NEEDED_MODULES = {
    "decoding only": "tensorflow",
    "tf.data": "tensorflow",
    "grain": "grain",
    "timm": "timm",
    "keras-cv": "keras_cv",
}


def _endless_files(setting, folder):
    """Repeats the files so often that no pipeline reaches the end of its first epoch: paths, and labels."""
    files = sorted(str(path) for path in pathlib.Path(folder).glob("*.jpg"))
    indices = np.arange(2 * (WARM_UP_BATCHES + setting.num_batches) * setting.batch_size)
    return [files[index % len(files)] for index in indices], indices % NUM_CLASSES


def _labelled_files(setting, folder):
    paths, labels = _endless_files(setting, folder)
    return ImageFiles("benchmark", tuple(paths), labels, tuple(map(str, range(NUM_CLASSES))))
