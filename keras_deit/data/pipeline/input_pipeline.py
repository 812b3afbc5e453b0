"""What `fit` is fed with: the batches of a run, by the pipeline that suits the machine."""

import concurrent.futures
import dataclasses
import functools
import importlib.util
import itertools
import time

import keras
import numpy as np

from keras_deit.data.augment.augmentation import NONE
from keras_deit.data.augment.keras_layers import KERAS_CV, apply, find_layers, other_shape
from keras_deit.data.pipeline import grain_pipeline, tf_data_pipeline
from keras_deit.data.pipeline.batches import Batches
from keras_deit.data.sources.kinds import ImageData
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.runtime.cores import usable_cores

NO_MEAN, NO_STD = (0.0,) * 3, (1 / 255,) * 3  # which leave pixels in 0..255
PIPELINES = ("auto", "tf.data", "grain", "python")


class InputStallTimer:
    """A clock of the time that is spent waiting for data.

    Attributes:
        seconds: In all, so far.
    """

    def __init__(self):
        self.seconds = 0.0
        self._began = None

    def begin(self, count=0):
        """A batch is asked for; returns `count`, as a node of a graph needs to return something."""
        self._began = time.perf_counter()
        return np.int64(count)

    def end(self, count=0):
        """The batch is there; returns `count`."""
        self.seconds += time.perf_counter() - self._began
        return np.int64(count)

    def timed(self, batches):
        """Yields from an iterable, on the clock."""
        batches = iter(batches)
        while True:
            self.begin()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self.end()
            yield batch


@dataclasses.dataclass(frozen=True)
class InputPipeline:
    """Labelled images as batches for `fit`, the same whatever makes them.

    Attributes:
        data: Labelled images, see `keras_deit.data.load`.
        image_size: `(height, width)` of the batches.
        crop_ratio: Share of the resized image that the centre crop keeps, in evaluation and where there is no random crop.
        pipeline: `"tf.data"`: threads of TensorFlow, for every backend; `"grain"`: worker processes, without TensorFlow;
            `"python"`: this process. `"auto"` takes the first one that is installed, and the last one for images in memory
            that are left as they are.
        num_workers: Number of threads or processes; None means one for every core.
        mean, std: Normalisation, of pixels in 0..1.
        augmentation: Keras layers that take the place of flips, operations, erasing and mixing: `"keras-cv"`, a `.keras`
            file or a layer, see `keras_layers.find_layers`. Crops, their order and repeats remain. What the layers
            draw follows from generators of their own, which begin anew with every run and every restart.

    Raises:
        ValueError: If there is no such pipeline.
    """

    data: object
    image_size: tuple
    crop_ratio: float = 1.0
    pipeline: str = "auto"
    num_workers: int | None = None
    mean: tuple = IMAGENET_MEAN
    std: tuple = IMAGENET_STD
    augmentation: object = None

    def __post_init__(self):
        if self.pipeline not in PIPELINES:
            raise ValueError(f"`pipeline` must be one of {PIPELINES}. Received: pipeline={self.pipeline!r}")
        if self.pipeline == "grain" and keras.backend.backend() == "tensorflow":
            raise ValueError("The pipeline 'grain' is for JAX and PyTorch. With TensorFlow use 'tf.data'.")

    def training(self, plan, waiting, epoch=0, batch=0, answers=None):
        """Training batches without an end, for `fit(..., steps_per_epoch=plan.num_batches)`.

        Args:
            plan: `keras_deit.data.pipeline.sampling_plan.SamplingPlan`.
            waiting: `InputStallTimer`, which is kept up to date.
            epoch, batch: Where to begin; nothing before it is read.
            answers: Function that gives an iterator of a teacher's stored answers from there on, see
                `keras_deit.data.TeacherCache.following`; the batches end with it.

        Returns:
            A `tf.data.Dataset`, or a generator, of `(images, labels)`: float32 `(batch, height, width, 3)` and
            `(batch, classes)`; with answers of `({"image": images, "teacher": answers}, labels)`.
        """
        batches = self._training(plan, epoch, batch) if self.augmentation is None else self._through(plan, epoch, batch)
        is_dataset = hasattr(batches, "element_spec")
        if answers is not None:
            add = tf_data_pipeline.with_answers if is_dataset else _with_answers
            batches = add(batches, answers if is_dataset else answers())
        return tf_data_pipeline.timed(batches, waiting) if is_dataset else waiting.timed(batches)

    def _through(self, plan, epoch, batch):
        """Batches that go through layers as pixels and are normalised afterwards."""
        layers = find_layers(self.augmentation, plan.augmentation)
        batches = dataclasses.replace(self, mean=NO_MEAN, std=NO_STD)._training(plan.with_crops_alone(), epoch, batch)
        if hasattr(batches, "element_spec"):
            return tf_data_pipeline.through(batches, layers, self.mean, self.std)
        if self.augmentation == KERAS_CV:
            raise ValueError(f"keras-cv's layers are for the pipeline 'tf.data'. Received: pipeline={self.pipeline!r}")
        return _through(batches, layers, self.mean, self.std)

    def _training(self, plan, epoch, batch):
        pipeline = self.pipeline_for(plan.augmentation)
        normalisation = dict(mean=self.mean, std=self.std, crop_ratio=self.crop_ratio)
        if pipeline == "tf.data":
            place = dict(epoch=epoch, batch=batch, num_workers=self.num_workers)
            return tf_data_pipeline.training_dataset(self.data, plan, **normalisation, **place)
        batches = Batches(
            self.data,
            plan.batch_size,
            training=True,
            steps=plan.steps,
            image_size=None if self._stays_as_it_is(plan.augmentation) else self.image_size,
            augmentation=plan.augmentation,
            seed=plan.seed,
            shard=plan.shard,
            num_shards=plan.num_shards,
            **normalisation,
        )
        if pipeline == "grain":
            return grain_pipeline.training_stream(batches, epoch, batch, self.num_workers or usable_cores())
        if keras.backend.backend() == "tensorflow":
            stream = functools.partial(_ahead, batches, epoch, batch)
            return tf_data_pipeline.from_batches(stream, self.data.num_classes, self.image_size)
        return _ahead(batches, epoch, batch)

    def evaluation(self, batch_size, multiple_of=1):
        """Every image once, for `evaluate` and `validation_data`; arguments as those of `keras_deit.data.Batches`.

        Args:
            batch_size: Number of images in a batch.
            multiple_of: What the last batch is filled up to a multiple of.

        Returns:
            Batches of `(images, labels, sample_weight)`.
        """
        normalisation = dict(mean=self.mean, std=self.std, crop_ratio=self.crop_ratio)
        if self.pipeline_for(NONE) == "tf.data":
            sizes = dict(image_size=self.image_size, batch_size=batch_size, multiple_of=multiple_of)
            options = dict(num_workers=self.num_workers, **normalisation)
            return tf_data_pipeline.evaluation_dataset(self.data, **sizes, **options)
        image_size = None if self._stays_as_it_is(NONE) else self.image_size
        return Batches(self.data, batch_size, image_size=image_size, multiple_of=multiple_of, **normalisation)

    def pipeline_for(self, augmentation):
        """The pipeline that training with an augmentation takes."""
        if self.pipeline != "auto":
            return self.pipeline
        if self._stays_as_it_is(augmentation) and self.augmentation is None:
            return "python"
        if importlib.util.find_spec("tensorflow"):
            return "tf.data"
        return "grain" if importlib.util.find_spec("grain") else "python"

    def _stays_as_it_is(self, augmentation):
        is_array = isinstance(self.data, ImageData) and isinstance(self.data.images, np.ndarray)
        is_whole = augmentation == NONE and self.crop_ratio == 1
        return is_array and is_whole and self.data.images.shape[1:3] == tuple(self.image_size)


def _with_answers(batches, answers):
    for (images, labels), answer in zip(batches, answers, strict=False):
        yield {"image": images, "teacher": answer}, labels


def _through(batches, layers, mean, std):
    convert = keras.ops.convert_to_numpy
    mean, std = (np.asarray(values, "float32") for values in (mean, std))
    for before, labels in batches:
        images, labels = (np.asarray(convert(part), "float32") for part in apply(layers, before, labels))
        if images.shape != before.shape:
            raise ValueError(other_shape(before.shape, images.shape))
        yield (images / 255 - mean) / std, labels


def _ahead(batches, epoch, batch):
    """Yields the batches from some place on; while one is used, a thread makes the next."""
    places = (divmod(place, batches.num_batches) for place in itertools.count(epoch * batches.num_batches + batch))

    def make():
        batches.epoch, place = next(places)
        return batches[place]

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        following = thread.submit(make)
        while True:
            made, following = following.result(), thread.submit(make)
            yield made
