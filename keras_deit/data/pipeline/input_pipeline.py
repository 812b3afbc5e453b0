"""The batches of a dataset, by the pipeline that suits the machine."""

import dataclasses
import functools
import importlib.util
import math

import keras
import numpy as np

from keras_deit.choices import PIPELINES
from keras_deit.data.augment.augmentation import NONE, Augmentation
from keras_deit.data.augment.keras_layers import KERAS_CV, apply, build, check_augmented, find_layers, shape_error
from keras_deit.data.augment.pillow_transform import ImageTransform
from keras_deit.data.pipeline import grain_pipeline, python_pipeline, tf_data_pipeline
from keras_deit.data.pipeline.pillow_batches import EvaluationBatches, TrainingBatches
from keras_deit.data.pipeline.sampling_plan import EvaluationPlan, SamplingPlan
from keras_deit.data.sources.labelled_images import check_labelled_images
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.imaging.kernels import check_interpolation
from keras_deit.imaging.normalisation import check_normalisation, of_three_channels
from keras_deit.imaging.pixel_range import warn_of_dark_pixels
from keras_deit.imaging.sizes import check_crop_ratio, height_and_width
from keras_deit.runtime.cores import usable_cores
from keras_deit.runtime.endless import mark_endless
from keras_deit.runtime.freed_memory import keep_freed_memory
from keras_deit.runtime.numpy_numbers import check_at_least

PIXELS = {"mean": (0.0,) * 3, "std": (1 / 255,) * 3}  # the normalisation that leaves pixels in 0..255


@dataclasses.dataclass(frozen=True)
class InputPipeline:
    """Batches of labelled images for `fit` and `evaluate`, the same samples from every pipeline.

    The samples of a batch depend only on the seed, the epoch and the index of the batch. A resumed run therefore gets the
    same samples as an uninterrupted run.

    Attributes:
        data: `keras_deit.data.LabelledImages`, for example from `keras_deit.data.load`.
        image_size: Side in pixels, or `(height, width)`, of the samples.
        batch_size: Number of samples in a training batch of this process.
        augmentation: `Augmentation` of training images.
        augmentation_layers: Keras layers that replace flips, operations, erasing and mixing of the augmentation:
            `"keras-cv"`, the path of a `.keras` file, or a layer, see `augment.keras_layers.find_layers`. Random crops and
            repeats remain. The layers have their own random generators, which are not saved.
        crop_ratio: Side of the centre crop as a fraction of the shorter side of the resized image, in evaluation and in an
            augmentation without random crops.
        seed: Integer that determines the order and the augmentation.
        steps_per_epoch: Number of training batches in an epoch; None means all whole batches of the dataset.
        shard, num_shards: Index of this process, and number of processes that share each batch. Together, the processes get
            the same batches as one process would, also with mixup and CutMix.
        pipeline: `"tf.data"`: threads of TensorFlow, for every backend. `"grain"`: worker processes, without TensorFlow, for
            JAX and PyTorch. `"python"`: a thread of this process. `"auto"` selects the first one that is installed,
            or `"python"` for images in memory that are only normalised.
        num_workers: Number of threads or processes; None means one for each core. With Grain and 0, this process makes the
            batches.
        mean, std: Normalisation of each channel, or one number for all, for pixels in 0..1.
        interpolation, squash: How images are resized for the centre crop, see `keras_deit.ImageProcessor`. Random crops are
            resized with the bicubic filter.

    Raises:
        ValueError: If there is no such pipeline, it does not work with this backend, or an argument is out of range.

    Example:

    >>> from keras_deit import data
    >>> digits = data.InputPipeline(data.load("digits"), image_size=8, batch_size=32)
    >>> images, labels = next(iter(digits.training_batches()))
    >>> tuple(images.shape), tuple(labels.shape), digits.steps
    ((32, 8, 8, 3), (32, 10), 44)
    """

    data: object
    image_size: tuple = 224
    batch_size: int = 32
    augmentation: Augmentation = NONE
    augmentation_layers: object = None
    crop_ratio: float = 1.0
    seed: int = 0
    steps_per_epoch: int | None = None
    shard: int = 0
    num_shards: int = 1
    pipeline: str = "auto"
    num_workers: int | None = None
    mean: tuple = IMAGENET_MEAN
    std: tuple = IMAGENET_STD
    interpolation: str = "bicubic"
    squash: bool = False

    def __post_init__(self):
        check_labelled_images(self.data)
        if self.pipeline not in PIPELINES:
            raise ValueError(f"`pipeline` must be one of {PIPELINES}. Received: pipeline={self.pipeline!r}")
        if self.pipeline == "grain" and keras.backend.backend() == "tensorflow":
            raise ValueError("The pipeline 'grain' is for JAX and PyTorch. With TensorFlow use 'tf.data'.")
        object.__setattr__(self, "image_size", height_and_width(self.image_size))
        check_at_least(1, batch_size=self.batch_size, num_shards=self.num_shards)
        check_at_least(0, seed=self.seed, shard=self.shard)
        if self.steps_per_epoch is not None:
            check_at_least(1, steps_per_epoch=self.steps_per_epoch)
        if self.num_workers is not None:
            check_at_least(0, num_workers=self.num_workers)
        if self.shard >= self.num_shards:
            raise ValueError(
                f"`shard` must be less than `num_shards`, since shards are counted from 0. Received: shard={self.shard}, "
                f"num_shards={self.num_shards}"
            )
        check_crop_ratio(self.crop_ratio)
        check_interpolation(self.interpolation)
        check_normalisation(self.mean, self.std)
        for name in ("mean", "std"):
            object.__setattr__(self, name, of_three_channels(name, getattr(self, name)))
        if isinstance(self.data.images, np.ndarray):
            warn_of_dark_pixels(self.data.images, f"The images of {self.data.name!r}")

    @functools.cached_property
    def plan(self):
        """The `SamplingPlan` of the training batches."""
        return SamplingPlan(
            len(self.data),
            self.batch_size,
            self.image_size,
            self.augmentation,
            self.seed,
            self.steps_per_epoch,
            self.shard,
            self.num_shards,
        )

    @property
    def steps(self):
        """Number of training batches in an epoch, for `fit(..., steps_per_epoch=...)`."""
        return self.plan.num_batches

    def training_batches(self, epoch=0, batch=0, teacher_outputs=None, timer=None):
        """Makes training batches without an end, for `fit(..., steps_per_epoch=pipeline.steps)`.

        Always pass `steps_per_epoch` to `fit`. Without it, the models of this package and the `Distiller` raise an error,
        and other Keras models never finish the first epoch.

        Args:
            epoch, batch: Epoch and index of the first batch, both from 0. Earlier batches are not read.
            teacher_outputs: Function that returns an iterator of stored teacher outputs from this position on, see
                `keras_deit.data.pipeline.teacher_cache.TeacherCache.iter_from`; the batches end when the iterator ends.
            timer: `InputStallTimer` that measures the time that the consumer waits, or None.

        Returns:
            A `tf.data.Dataset`, a generator or a Grain dataset of `(images, labels)`: float32 `(batch, height, width, 3)`,
            normalised, and `(batch, classes)`. With teacher outputs, of `({"image": images, "teacher": outputs}, labels)`.

        Raises:
            ValueError: If a batch needs more samples than the dataset has, or mixing would get a batch of odd size.
        """
        plan = self.plan if self.augmentation_layers is None else self.plan.with_crops_alone()
        plan.check()
        keep_freed_memory()
        if self.augmentation_layers is None:
            batches = self._batches(plan, epoch, batch, mean=self.mean, std=self.std)
        else:
            batches = self._through_layers(self._batches(plan, epoch, batch, **PIXELS), self._makes_tf_dataset(plan))
        is_dataset = self._makes_tf_dataset(plan)
        if teacher_outputs is not None and is_dataset:
            batches = tf_data_pipeline.with_teacher_outputs(batches, teacher_outputs)
        elif teacher_outputs is not None:
            batches = _with_teacher_outputs(batches, teacher_outputs())
        if timer is not None:
            batches = tf_data_pipeline.timed(batches, timer) if is_dataset else timer.timed(batches)
        return mark_endless(batches) if teacher_outputs is None else batches

    def evaluation_batches(self, batch_size=128, multiple_of=1):
        """Makes batches in which every image occurs once, for `evaluate` and `validation_data`.

        Args:
            batch_size: Number of images in a batch, over all replicas of all processes.
            multiple_of: Number of replicas of all processes, see `EvaluationPlan`.

        Returns:
            A `tf.data.Dataset` or a `keras.utils.PyDataset` of `(images, labels, sample_weight)`: float32
            `(batch, height, width, 3)`, normalised, `(batch, classes)` and `(batch,)`. The label of an unlabelled
            image is a row of zeros, which only a `Distiller` understands. For other Keras models, select the labelled images
            first.

        Raises:
            ValueError: If `batch_size` or `multiple_of` is not a positive integer.
        """
        check_at_least(1, batch_size=batch_size, multiple_of=multiple_of)
        shards = math.lcm(multiple_of, self.num_shards), self.shard, self.num_shards
        plan = EvaluationPlan(len(self.data), batch_size, self.image_size, *shards)
        if self._pipeline_for(NONE) == "tf.data":
            options = dict(num_workers=self.num_workers, **self._central_crop)
            return tf_data_pipeline.evaluation_dataset(self.data, plan, self.mean, self.std, **options)
        return EvaluationBatches(self.data, plan, self.mean, self.std, **self._central_crop)

    @property
    def training_pipeline(self):
        """Name of the pipeline that makes the training batches; `"auto"` is resolved."""
        return self._pipeline_for(self.augmentation)

    @property
    def _central_crop(self):
        return {"crop_ratio": self.crop_ratio, "interpolation": self.interpolation, "squash": self.squash}

    def _pipeline_for(self, augmentation):
        if self.pipeline != "auto":
            return self.pipeline
        transform = ImageTransform(self.image_size, self.mean, self.std, self.crop_ratio)
        is_unchanged = transform.leaves_unchanged(self.data, augmentation)
        if is_unchanged and self.augmentation_layers is None:
            return "python"
        if importlib.util.find_spec("tensorflow"):
            return "tf.data"
        return "grain" if importlib.util.find_spec("grain") else "python"

    def _batches(self, plan, epoch, batch, mean, std):
        position = dict(epoch=epoch, batch=batch)
        pipeline = self._pipeline_for(plan.augmentation)
        if pipeline == "tf.data":
            options = dict(num_workers=self.num_workers, **position, **self._central_crop)
            return tf_data_pipeline.training_dataset(self.data, plan, mean, std, **options)
        batches = TrainingBatches(self.data, plan, mean, std, **self._central_crop)
        if pipeline == "grain":
            num_workers = usable_cores() if self.num_workers is None else self.num_workers
            return grain_pipeline.training_stream(batches, **position, num_workers=num_workers)
        stream = functools.partial(python_pipeline.training_stream, batches, **position)
        return python_pipeline.for_fit(stream, self.data.num_classes, self.image_size)

    def _makes_tf_dataset(self, plan):
        return keras.backend.backend() == "tensorflow" or self._pipeline_for(plan.augmentation) == "tf.data"

    def _through_layers(self, batches, is_dataset):
        """Applies the augmentation layers to batches of pixels in 0..255, then normalises the batches."""
        layers = find_layers(self.augmentation_layers, self.augmentation)
        build(layers, (*self.image_size, 3))
        if is_dataset:
            return tf_data_pipeline.through_layers(batches, layers, self.mean, self.std)
        if self.augmentation_layers == KERAS_CV:
            raise ValueError(f"keras-cv's layers need the pipeline 'tf.data'. Received: pipeline={self.pipeline!r}")
        return _through_layers(batches, layers, self.mean, self.std)


def _with_teacher_outputs(batches, teacher_outputs):
    for (images, labels), outputs in zip(batches, teacher_outputs, strict=False):
        yield {"image": images, "teacher": outputs}, labels


def _through_layers(batches, layers, mean, std):
    mean, std = (np.asarray(values, "float32") for values in (mean, std))
    for index, (pixels, labels) in enumerate(batches):
        tensors = map(keras.ops.convert_to_tensor, (pixels, labels))  # layers refuse arrays and tensors together
        augmented = (keras.ops.convert_to_numpy(values) for values in apply(layers, *tensors))
        images, labels = (np.asarray(values, "float32") for values in augmented)
        if images.shape != pixels.shape:
            raise ValueError(shape_error(pixels.shape, images.shape))
        if index == 0:
            check_augmented(images)
        yield (images / 255 - mean) / std, labels
