"""The small convolutional teacher that a run trains if no teacher is given."""

import keras
import numpy as np
from keras import layers

from keras_deit.data.augment.pillow_transform import ImageTransform
from keras_deit.data.pipeline.pillow_batches import EvaluationBatches, one_hot
from keras_deit.data.pipeline.sample_order import rows_of_shard
from keras_deit.data.pipeline.sampling_plan import EvaluationPlan, SamplingPlan
from keras_deit.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from keras_deit.runtime import processes
from keras_deit.runtime.files import cache_directory, replacing
from keras_deit.runtime.keras_file import load_keras_file
from keras_deit.training.pace import Pace
from keras_deit.training.position import Position
from keras_deit.training.progress import Progress
from keras_deit.training.teachers.random_shift import random_shift

EPOCHS = 30
BATCH_SIZE = 64
LEARNING_RATE = 3e-3
SHIFT = 1  # pixels
MIN_ACCURACY = 0.98  # of a teacher that is cached for later runs


def small_convnet(image_size, num_classes):
    """Builds a convnet of four 3×3 convolutions with batch norm, for small images.

    Args:
        image_size: Side of the square images in pixels.
        num_classes: Number of classes.

    Returns:
        A Keras model from normalised images `(batch, image_size, image_size, 3)` to logits `(batch, num_classes)`.

    Example:

    >>> small_convnet(8, 10).output_shape
    (None, 10)
    """
    images = keras.Input((image_size, image_size, 3), name="images")
    features = images
    for stage, (width, pooled) in enumerate(((32, False), (64, True), (128, True), (128, False)), start=1):
        options = dict(padding="same", use_bias=False, data_format="channels_last")
        features = layers.Conv2D(width, 3, name=f"convolution_{stage}", **options)(features)
        features = layers.ReLU(name=f"relu_{stage}")(layers.BatchNormalization(name=f"norm_{stage}")(features))
        if pooled:
            features = layers.MaxPooling2D(name=f"pool_{stage}", data_format="channels_last")(features)
    features = layers.GlobalAveragePooling2D(name="mean", data_format="channels_last")(features)
    features = layers.Dropout(0.3, name="dropout")(features)
    return keras.Model(images, layers.Dense(num_classes, name="head")(features), name="small_convnet")


def kept_path(data):
    """Returns the path where the teacher of a dataset is cached between runs, in Keras's own directory."""
    height, width = data.image_size
    return cache_directory("teachers") / f"{data.name}-{height}x{width}.keras"


def trained_convnet(train, test, num_replicas, seed):
    """Loads the cached teacher of a dataset, or trains a teacher and caches it.

    Args:
        train, test: `ImageData` of the original image size.
        num_replicas: Number of replicas that share a batch.
        seed: Integer.

    Returns:
        The Keras model, and its accuracy on the test split.
    """
    path = kept_path(train)
    shards = processes.process_index(), processes.num_processes()
    plan = EvaluationPlan(len(test), 2 * BATCH_SIZE, test.image_size, num_replicas, *shards)
    test_batches = EvaluationBatches(test, plan, IMAGENET_MEAN, IMAGENET_STD, crop_ratio=1.0)
    if processes.from_main(path.exists()):
        try:
            with processes.file_of_main(path) as file:
                teacher = load_keras_file(file)
        except ValueError as error:
            print(f"The cached teacher cannot be read. {error} A new teacher is trained.")
        else:
            accuracy = _accuracy(teacher, test_batches)
            print(f"Teacher: the small convolutional network cached at {path}, {accuracy:.1%} on the test split.")
            return teacher, accuracy
    teacher = small_convnet(train.image_size[0], train.num_classes)
    _train(teacher, train, test_batches, num_replicas, seed)
    accuracy = _accuracy(teacher, test_batches)
    if accuracy >= MIN_ACCURACY:
        print(f"Teacher: {accuracy:.1%} on the test split; {_keep(teacher, path)}.")
    else:
        print(
            f"Teacher: only {accuracy:.1%} on the test split, less than {MIN_ACCURACY:.0%}; it is used but not cached."
        )
    return teacher, accuracy


def cached_convnet(data):
    """Loads the cached teacher of a dataset.

    Args:
        data: `ImageData` of the original image size.

    Returns:
        The Keras model.

    Raises:
        ValueError: If no teacher is cached, or it cannot be read.
    """
    path = kept_path(data)
    if not path.exists():
        raise ValueError(f"The small convolutional network that was the teacher is not cached at {path}.")
    return load_keras_file(path)


def _keep(teacher, path):
    try:
        with processes.scratch_unless_main(path) as file, replacing(file) as temporary:
            teacher.save(temporary)
    except OSError as error:  # the run goes on with the teacher all the same
        reason = error.strerror or error
        return f"it cannot be cached at {path} ({reason}; KERAS_HOME sets another directory)"
    return f"cached for later runs at {path}"


def _train(teacher, train, test_batches, num_replicas, seed):
    batch_size = BATCH_SIZE // num_replicas * num_replicas
    plan = SamplingPlan(len(train), batch_size, train.image_size, seed=seed)
    plan.check()
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, EPOCHS * plan.num_batches)
    _compile(teacher, keras.optimizers.AdamW(schedule, weight_decay=0.01))
    position = Position(plan.num_batches)
    pace = Pace(batch_size, len(test_batches.data))
    callbacks = [position, Progress("teacher", EPOCHS, position, pace, schedule)]
    options = dict(shuffle=False, validation_data=test_batches, callbacks=callbacks, verbose=0)
    for epoch in range(EPOCHS):  # one `fit` an epoch, since Keras does not tell a `PyDataset` the epoch
        teacher.fit(ShiftedBatches(train, plan, epoch), initial_epoch=epoch, epochs=epoch + 1, **options)


class ShiftedBatches(keras.utils.PyDataset):
    """Training batches of one epoch, of randomly shifted images.

    Args:
        data: `ImageData`.
        plan: `SamplingPlan` without augmentation.
        epoch: Integer from 0.

    Yields:
        `(images, labels)`: float32 arrays `(batch, height, width, 3)`, normalised, and `(batch, classes)`; in each of
        several processes its share of the batch.
    """

    def __init__(self, data, plan, epoch):
        super().__init__()
        self.data = data
        self.plan = plan
        self.epoch = epoch

    @property
    def num_batches(self):
        """Number of batches."""
        return self.plan.num_batches

    def __getitem__(self, index):
        indices, _ = self.plan.samples(self.epoch, index)
        generator = np.random.default_rng([self.plan.seed, self.epoch, 0, index])
        images = random_shift(self.data.images[indices], SHIFT, generator)
        rows = rows_of_shard(len(indices), processes.process_index(), processes.num_processes())
        labels = one_hot(self.data.labels[indices[rows]], self.data.num_classes)
        return _transform(self.data).normalize(images[rows]), labels


def _transform(data):
    return ImageTransform(data.image_size, IMAGENET_MEAN, IMAGENET_STD, crop_ratio=1.0)


def _accuracy(teacher, test_batches):
    if not teacher.compiled:
        _compile(teacher, None)
    return float(teacher.evaluate(test_batches, verbose=0, return_dict=True)["accuracy"])


def _compile(teacher, optimizer):
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    teacher.compile(optimizer, loss=loss, weighted_metrics=["accuracy"])
