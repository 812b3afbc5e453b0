"""The images of a run and the pipelines that make its batches."""

import dataclasses
import functools
import math

import keras
import numpy as np

from keras_deit.choices import ARCHITECTURES
from keras_deit.data import Augmentation, InputPipeline, LabelledImages
from keras_deit.data.sources.classes import check_trained, describe_classes
from keras_deit.data.sources.image_data import RESIZED_BY
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.models import get_variant
from keras_deit.models.image_model import DEFAULT_IMAGE_SIZE
from keras_deit.runtime.processes import num_processes, process_index
from keras_deit.training.usable_images import explain_unreadable_images, load_images, warn_of_equal_images

EVALUATION_BATCH = 128
MIN_BATCHES = 4  # in an epoch, if the batch size has to suit a small dataset


@dataclasses.dataclass(frozen=True)
class RunData:
    """The images of a run and the pipelines that make its batches.

    Attributes:
        settings: `Settings`.
        train, test: `LabelledImages` of the two splits.
        skipped: Dictionary from the name of a split to the number of images that were left out, see `load_images`.
        class_counts: Dictionary from the name of a split to the number of images of each class, see `load_images`.
        is_resized: Whether `train` and `test` were resized once, by `ImageData.resized`.
        mean, std: Normalisation of the student's images, for pixels in 0..1.
    """

    settings: object
    train: LabelledImages
    test: LabelledImages
    skipped: dict
    class_counts: dict
    is_resized: bool = False
    mean: tuple = IMAGENET_MEAN
    std: tuple = IMAGENET_STD

    @functools.cached_property
    def training(self):
        """The `InputPipeline` of the training split."""
        return self._pipeline(self.train)

    @functools.cached_property
    def evaluation(self):
        """The `InputPipeline` of the test split."""
        return self._pipeline(self.test)

    @property
    def plan(self):
        """The `SamplingPlan` of the training batches."""
        return self.training.plan

    @property
    def preprocessing(self):
        """How the evaluation prepares images, a `keras_deit.Preprocessing`."""
        resizing = {"interpolation": RESIZED_BY, "squash": True} if self.is_resized else {}
        return Preprocessing(
            self.mean, self.std, self.settings.crop_ratio, **resizing, bit_depth=self.settings.bit_depth
        )

    def normalised_for(self, preprocessing):
        """Returns the same data, whose pipelines normalise the images as a record says.

        Args:
            preprocessing: `keras_deit.Preprocessing` of the student.

        Returns:
            A `RunData`.
        """
        if (self.mean, self.std) == (preprocessing.mean, preprocessing.std):
            return self
        return dataclasses.replace(self, mean=preprocessing.mean, std=preprocessing.std)

    @property
    def image_size(self):
        """`(height, width)` of the student's images in pixels."""
        return self.training.image_size

    def describe(self):
        """Describes the classes and how many images each has in each split, in several lines."""
        return describe_classes({"train": self.train, "test": self.test}, self.class_counts)

    def first_batch(self, epoch=0):
        """Makes the first training batch of an epoch.

        Args:
            epoch: Integer from 0.

        Returns:
            A pair of arrays: images `(batch, height, width, 3)`, normalised, and labels `(batch, classes)`.

        Raises:
            UnreadableError: If an image cannot be read; the message names it.
        """
        with explain_unreadable_images(lambda: [(self.train, self.plan.samples(epoch, 0)[0])]):
            return keras.tree.map_structure(np.asarray, next(iter(self.training.training_batches(epoch))))

    def test_batches(self, num_replicas=1):
        """Makes batches that have every test image once.

        Args:
            num_replicas: Number of devices that share a batch.

        Returns:
            Batches of `(images, labels, sample_weight)`, see `InputPipeline.evaluation_batches`.
        """
        return self.evaluation.evaluation_batches(EVALUATION_BATCH, multiple_of=num_replicas)

    def prepared(self, data, count):
        """Prepares some images of a split as for the evaluation, at equal distances in the order of the split.

        Args:
            data: `train` or `test`.
            count: Largest number of images.

        Returns:
            Float32 array `(images, height, width, 3)`, normalised, and the integer labels `(images,)`, -1 for an unlabelled
            image.
        """
        images, rows, _ = next(iter(self._pipeline(data.evenly_spaced(count)).evaluation_batches(count)))
        images, rows = np.asarray(images), np.asarray(rows)
        return images, np.where(rows.any(axis=-1), rows.argmax(axis=-1), -1)

    def evaluate(self, model, num_replicas=1):
        """Evaluates a model on the test split.

        Args:
            model: Compiled Keras model that takes the student's images.
            num_replicas: Number of devices that share a batch.

        Returns:
            Dictionary of floats: the loss and the metrics.

        Raises:
            UnreadableError: If an image cannot be read; the message names it.
        """
        with explain_unreadable_images(lambda: [(self.test, None)]):
            results = model.evaluate(self.test_batches(num_replicas), verbose=0, return_dict=True)
        return {name: float(value) for name, value in results.items()}

    def _pipeline(self, data):
        settings = self.settings
        return InputPipeline(
            data,
            image_size=settings.image_size or _default_image_size(settings, self.train),
            batch_size=settings.batch_size // num_processes(),
            shard=process_index(),
            num_shards=num_processes(),
            augmentation=Augmentation.of(settings),
            augmentation_layers=settings.augmentation_layers,
            crop_ratio=settings.crop_ratio,
            seed=settings.seed,
            steps_per_epoch=settings.steps_per_epoch,
            pipeline=settings.pipeline,
            num_workers=settings.num_workers,
            mean=self.mean,
            std=self.std,
        )


def load_run_data(settings, adapts_batch_size=False, num_replicas=1):
    """Loads the images of a run and checks that batches can be made of them.

    Args:
        settings: `Settings`.
        adapts_batch_size: Whether a batch size that is larger than the training split is replaced, which is said.
        num_replicas: Number of devices that share a batch.

    Returns:
        A `RunData`. Its settings have the batch size that is used.

    Raises:
        ValueError: If the settings do not fit the images, or too many images are unusable.
    """
    loaded = {split: load_images(settings, split) for split in ("train", "test")}
    train, test = loaded["train"].data, loaded["test"].data
    class_counts = {split: images.class_counts for split, images in loaded.items()}
    check_trained(train.name, train.class_names, class_counts)
    warn_of_equal_images(settings, {"train": train, "test": test})
    if adapts_batch_size and settings.batch_size > len(train):
        suitable = suitable_batch_size(len(train), num_replicas)
        print(
            f"Batch size: {suitable} instead of {settings.batch_size}, because there are only {len(train)} training images. "
            "--batch-size chooses another one."
        )
        settings = dataclasses.replace(settings, batch_size=suitable)
    original = test
    if settings.crop_scale is None and settings.crop_ratio == 1:  # once, not in every epoch; for images in memory
        size = settings.image_size or _default_image_size(settings, train)
        train, test = train.resized(size), test.resized(size)
    skipped = {split: images.skipped for split, images in loaded.items()}
    data = RunData(settings, train, test, skipped, class_counts, is_resized=test is not original)
    plan = data.plan.with_crops_alone() if settings.augmentation_layers else data.plan
    plan.check()
    if settings.augmentation_layers:
        data.first_batch()  # fails early if the layers cannot augment a batch
    _check_accuracy_is_known(settings, loaded["test"].num_unlabelled, len(test))
    if settings.distillation == "none" or settings.compare:
        _check_labelled(*(loaded[split].num_unlabelled for split in ("train", "test")))
    return data


def suitable_batch_size(num_images, num_replicas=1):
    """Chooses a batch size for a small dataset: the largest power of two that gives four batches in an epoch.

    Args:
        num_images: Number of training images.
        num_replicas: Number of devices, which divides the batch size.

    Returns:
        Batch size, at least 2 for each device if there are as many images, otherwise 1.

    Example:

    >>> [suitable_batch_size(num_images) for num_images in (5, 20, 240, 1433)]
    [2, 4, 32, 256]
    >>> suitable_batch_size(5, num_replicas=4)
    4
    """
    power = 2 ** int(math.log2(max(2, num_images / MIN_BATCHES)))
    for_each = max(power // num_replicas, 2 if num_images >= 2 * num_replicas else 1)
    return for_each * num_replicas


def _default_image_size(settings, data):
    if data.image_size:
        return data.image_size
    if settings.is_convnet:
        return ARCHITECTURES.get(settings.architecture, DEFAULT_IMAGE_SIZE)
    return get_variant(settings.variant).arguments["image_size"]


def _check_accuracy_is_known(settings, num_unlabelled, num_images):
    """Checks that there are labels for the settings that compare the accuracies of epochs on the test split."""
    if num_unlabelled == num_images and (settings.patience is not None or settings.keep == "best"):
        raise ValueError(
            "`patience` and `keep` compare the accuracies of the epochs on the test split, and none of its "
            f"{num_images} images has a label. Received: patience={settings.patience}, keep={settings.keep!r}. Label "
            "images of the test split, or leave --patience and --keep best out."
        )


def _check_labelled(in_train, in_test):
    """Raises an error if images are known to be unlabelled; without a check of the images, nothing is known of records."""
    if in_train:
        raise ValueError(
            f"{in_train} training images have no label, and only a teacher can train the student on them. Pass "
            "--teacher without --compare, or leave the images out."
        )
    if in_test:
        raise ValueError(
            f"{in_test} test images have no label, and without a teacher the accuracy would count them as images of the "
            "first class. Leave the images out, or pass --teacher without --compare."
        )
