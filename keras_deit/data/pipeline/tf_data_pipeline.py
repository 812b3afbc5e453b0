"""Batches from `tf.data`, for every backend: decoding and augmentation on all cores, beside the training."""

import itertools

import keras
import numpy as np

from keras_deit.data.augment.keras_layers import apply, other_shape
from keras_deit.data.augment.tensorflow_ops import tensorflow
from keras_deit.data.augment.tensorflow_transform import ImageTransform
from keras_deit.data.pipeline.batches import evaluation_batches
from keras_deit.runtime.cores import usable_cores
from keras_deit.runtime.shutdown import unless_exiting, until_exit


def training_dataset(data, plan, mean, std, crop_ratio, epoch=0, batch=0, num_workers=None):
    """Training batches without an end, from any batch of any epoch on.

    Args:
        data: Images, see `keras_deit.data.load`.
        plan: `keras_deit.data.pipeline.sampling_plan.SamplingPlan`.
        mean, std: Normalisation, of pixels in 0..1.
        crop_ratio: Of the centre crop, where the augmentation has no random one.
        epoch, batch: Where to begin; nothing before it is read.
        num_workers: Number of threads; None means one for every core. It changes nothing but the time.

    Returns:
        `tf.data.Dataset` of `(images, labels)`, float32 `(batch, height, width, 3)` and `(batch, classes)`.
    """
    tf = tensorflow()
    views = ImageTransform(plan.image_size, mean, std, crop_ratio)
    read = _reader(tf, data)
    threads = num_workers or usable_cores()

    def view(numbers):
        image, label = read(numbers["index"])
        return views.for_training(image, numbers, plan.augmentation), _one_hot(tf, label, data.num_classes)

    dataset = _from_generator(tf, lambda: _numbers(plan, epoch, batch)).unbatch()
    view = tf.autograph.experimental.do_not_convert(view)
    dataset = dataset.map(view, num_parallel_calls=threads, deterministic=True)
    dataset = dataset.batch(plan.batch_size, drop_remainder=True)
    if plan.augmentation.mixes:
        mixing = _from_generator(tf, lambda: _mixing(plan, epoch, batch))
        mix = tf.function(_mixed, jit_compile=True, autograph=False)
        dataset = tf.data.Dataset.zip(dataset, mixing)
        dataset = dataset.map(lambda views, numbers: mix(*views, **numbers), num_parallel_calls=2, deterministic=True)
    return _with_threads(tf, dataset, threads).prefetch(2)


def evaluation_dataset(data, image_size, batch_size, mean, std, crop_ratio, multiple_of=1, num_workers=None):
    """Every image once, as `keras_deit.data.Batches` gives them in evaluation.

    Args:
        data, mean, std, crop_ratio, num_workers: As for `training_dataset`.
        image_size: `(height, width)` of a view.
        batch_size, multiple_of: As for `keras_deit.data.Batches`.

    Returns:
        `tf.data.Dataset` of `(images, labels, sample_weight)`, of known length.
    """
    tf = tensorflow()
    views = ImageTransform(image_size, mean, std, crop_ratio)
    read = _reader(tf, data)
    threads = num_workers or usable_cores()

    def view(index, weight):
        image, label = read(index)
        return views.for_evaluation(image), _one_hot(tf, label, data.num_classes), weight

    view = tf.autograph.experimental.do_not_convert(view)
    examples = tuple(map(np.concatenate, zip(*evaluation_batches(len(data), batch_size, multiple_of), strict=True)))
    dataset = tf.data.Dataset.from_tensor_slices(examples).map(view, num_parallel_calls=threads, deterministic=True)
    return _with_threads(tf, dataset.batch(batch_size), threads).prefetch(2)


def through(dataset, layers, mean, std):
    """The same batches, of pixels in 0..255, taken through `keras_deit.data.augment.keras_layers` and normalised."""
    tf = tensorflow()
    mean, std = (tf.constant(values, tf.float32) for values in (mean, std))
    shape = dataset.element_spec[0].shape

    def normalize(images, labels):
        images = tf.ensure_shape(tf.cast(images, tf.float32), shape)
        return (images / 255 - mean) / std, tf.cast(labels, tf.float32)

    try:  # one batch at a time: in calls that run side by side Keras's layers draw the same numbers
        made = dataset.map(lambda images, labels: apply(layers, images, labels))
    except (AttributeError, NotImplementedError, RuntimeError, TypeError) as error:
        if keras.backend.backend() == "tensorflow":
            raise
        raise ValueError(
            "A layer of `augmentation` cannot run within tf.data on this backend, as the preprocessing layers of Keras and "
            f"keras-cv can. Pass pipeline='python'. ({error})"
        ) from error
    if not made.element_spec[0].shape.is_compatible_with(shape):
        raise ValueError(other_shape(shape, made.element_spec[0].shape))
    return made.map(tf.autograph.experimental.do_not_convert(normalize)).prefetch(2)


def with_answers(dataset, answers):
    """The same batches with a teacher's stored answers beside the images; `answers()` is an iterator of arrays."""
    tf = tensorflow()
    first = next(answers())
    spec = tf.TensorSpec((None, *first.shape[1:]), first.dtype)
    stored = tf.data.Dataset.from_generator(until_exit(answers), output_signature=spec)

    def beside(batch, answer):
        images, labels = batch
        return {"image": images, "teacher": answer}, labels

    return tf.data.Dataset.zip(dataset, stored).map(tf.autograph.experimental.do_not_convert(beside)).prefetch(2)


def timed(dataset, waiting):
    """The same dataset, which adds the time that its reader waits for a batch to an `InputStallTimer`."""
    tf = tensorflow()

    def clock(tick):
        """A dataset of nothing whose every element, made when it is asked for, is a tick of the clock."""
        ticks = tf.data.Dataset.counter()
        return ticks.map(lambda count: tf.ensure_shape(tf.numpy_function(tick, [count], tf.int64), ()))

    options = tf.data.Options()
    options.autotune.enabled = False  # which would make batches ahead, and have the clock measure that
    parts = tf.data.Dataset.zip(clock(waiting.begin), dataset, clock(waiting.end))  # which are asked in their order
    batches = parts.map(tf.autograph.experimental.do_not_convert(lambda begin, batch, end: batch))
    return batches.with_options(options)


def from_batches(stream, num_classes, image_size):
    """A dataset of what the function `stream` gives an iterator of: pairs of arrays of images and labels."""
    tf = tensorflow()
    images = tf.TensorSpec((None, *image_size, 3), tf.float32)
    labels = tf.TensorSpec((None, num_classes), tf.float32)
    return tf.data.Dataset.from_generator(until_exit(stream), output_signature=(images, labels)).prefetch(2)


def _numbers(plan, epoch, batch):
    for place in itertools.count(epoch * plan.num_batches + batch):
        yield plan.numbers(*divmod(place, plan.num_batches))


def _mixing(plan, epoch, batch):
    """Share and box of every batch; a box without rows stands for blending."""
    for place in itertools.count(epoch * plan.num_batches + batch):
        share, box = plan.mixing(*divmod(place, plan.num_batches))
        yield {
            "share": np.float32(share),
            "box": np.array(box or (0, 0, 0, 0), "int32"),
            "blends": np.bool_(box is None),
        }


def _from_generator(tf, generate):
    first = next(generate())
    signature = {
        name: tf.TensorSpec(
            (None, *value.shape[1:]) if name not in ("share", "box", "blends") else value.shape, value.dtype
        )
        for name, value in first.items()
    }
    return tf.data.Dataset.from_generator(until_exit(generate), output_signature=signature)


def _reader(tf, data):
    """From an index to image and label within the graph; files are read without Python."""
    if hasattr(data, "paths"):
        paths, labels = tf.constant(data.paths), tf.constant(data.labels, tf.int64)
        return lambda index: (tf.io.read_file(paths[index]), labels[index])
    image, _ = data[0]
    kind = tf.string if isinstance(image, bytes) else tf.uint8
    shape = () if isinstance(image, bytes) else (None, None, 3)

    @unless_exiting
    def read(index):
        image, label = data[int(index)]
        return image, np.int64(label)

    def within_graph(index):
        image, label = tf.numpy_function(read, [index], (kind, tf.int64))
        return tf.ensure_shape(image, shape), tf.ensure_shape(label, ())

    return within_graph


def _one_hot(tf, label, num_classes):
    return tf.one_hot(label, num_classes)  # of -1, no label, zeros


def _mixed(images, labels, share, box, blends):
    """See `keras_deit.data.augment.mixing.mix`; in rows, which compile to faster loops than a last axis of three."""
    tf = tensorflow()
    batch, height, width, _ = images.shape
    rows, columns = tf.range(height)[:, None], tf.constant(np.repeat(np.arange(width, dtype="int32"), 3))
    is_cut = (rows >= box[0]) & (rows < box[1]) & (columns >= box[2]) & (columns < box[3])
    own = tf.where(blends, share, 1 - tf.cast(is_cut, tf.float32))
    flat = tf.reshape(images, (batch, height, 3 * width))
    mixed = flat * own + tf.reverse(flat, [0]) * (1 - own)
    return tf.reshape(mixed, images.shape), labels * share + tf.reverse(labels, [0]) * (1 - share)


def _with_threads(tf, dataset, threads):
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False
    return dataset.with_options(options)
