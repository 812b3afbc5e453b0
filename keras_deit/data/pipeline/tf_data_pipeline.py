"""Batches from `tf.data`, for every backend: decoding and augmentation on all cores, in parallel with training."""

import os

import keras
import numpy as np

from keras_deit.data.augment.keras_layers import apply, check_augmented, shape_error
from keras_deit.data.augment.tensorflow_ops import tensorflow
from keras_deit.data.augment.tensorflow_transform import ImageTransform
from keras_deit.data.sources.labelled_images import check_labels
from keras_deit.imaging.image_files import png_file, read_image
from keras_deit.runtime.cores import usable_cores
from keras_deit.runtime.first_batch import FirstBatchCheck
from keras_deit.runtime.shutdown import unless_exiting, until_exit

PREFETCH = 2  # batches
CALLS_PER_THREAD = 4  # samples that are begun: while one of them takes long, the threads go on with the next ones


def training_dataset(
    data, plan, mean, std, crop_ratio, epoch=0, batch=0, num_workers=None, interpolation="bicubic", squash=False
):
    """Makes training batches without an end.

    Args:
        data: `keras_deit.data.LabelledImages`.
        plan: `SamplingPlan`.
        mean, std: Normalisation of each channel, for pixels in 0..1.
        crop_ratio: Fraction that the central crop keeps, in an augmentation without random crops.
        epoch, batch: Position of the first batch; nothing before it is read.
        num_workers: Number of threads; None means one for every core. It changes the time and nothing else.
        interpolation, squash: How images are resized for the central crop, see `keras_deit.ImageProcessor`.

    Returns:
        `tf.data.Dataset` of `(images, labels)`: float32 `(batch, height, width, 3)` and `(batch, classes)`.
    """
    tf = tensorflow()
    transform = ImageTransform(plan.image_size, mean, std, crop_ratio, data.bit_depth, interpolation, squash)
    read = _reader(tf, data)
    threads = num_workers or usable_cores()

    def sample(draws):
        image, label = read(draws["index"])
        return transform.training_sample(image, draws, plan.augmentation), tf.one_hot(label, data.num_classes)

    dataset = _from_generator(
        tf, lambda: (plan.draws(*position) for position in plan.iter_from(epoch, batch))
    ).unbatch()
    sample = tf.autograph.experimental.do_not_convert(sample)
    dataset = dataset.map(sample, num_parallel_calls=CALLS_PER_THREAD * threads, deterministic=True)
    dataset = dataset.batch(plan.batch_size, drop_remainder=True)
    if plan.augmentation.mixes:
        mixing = _from_generator(tf, lambda: _mixing_draws(plan, epoch, batch))
        mix = tf.function(_mix, jit_compile=True, autograph=False)
        dataset = tf.data.Dataset.zip(dataset, mixing)
        dataset = dataset.map(lambda batch, draws: mix(*batch, **draws), num_parallel_calls=2, deterministic=True)
    return _with_threads(tf, dataset, threads).prefetch(PREFETCH)


def evaluation_dataset(data, plan, mean, std, crop_ratio, num_workers=None, interpolation="bicubic", squash=False):
    """Makes evaluation batches.

    Args:
        data, mean, std, crop_ratio, num_workers, interpolation, squash: See `training_dataset`.
        plan: `EvaluationPlan`.

    Returns:
        `tf.data.Dataset` of known length of `(images, labels, sample_weight)`: float32 `(batch, height, width, 3)`,
        `(batch, classes)` and `(batch,)`.
    """
    tf = tensorflow()
    transform = ImageTransform(plan.image_size, mean, std, crop_ratio, data.bit_depth, interpolation, squash)
    read = _reader(tf, data)
    threads = num_workers or usable_cores()

    def sample(index, weight):
        image, label = read(index)
        return transform.evaluation_sample(image), tf.one_hot(label, data.num_classes), weight

    sample = tf.autograph.experimental.do_not_convert(sample)
    dataset = tf.data.Dataset.from_tensor_slices(plan.examples())
    dataset = dataset.map(sample, num_parallel_calls=CALLS_PER_THREAD * threads, deterministic=True)
    return _with_threads(tf, dataset.batch(plan.local_batch_size), threads).prefetch(PREFETCH)


def through_layers(dataset, layers, mean, std):
    """Applies Keras layers to batches of pixels in 0..255, then normalises the batches.

    Args:
        dataset: `tf.data.Dataset` of `(images, labels)`, pixels in 0..255.
        layers: Layers from `keras_deit.data.augment.keras_layers.find_layers`.
        mean, std: Normalisation of each channel, for pixels in 0..1.

    Returns:
        `tf.data.Dataset` of `(images, labels)`.

    Raises:
        ValueError: If a layer cannot run within `tf.data` on this backend, or changes the shape of the images.
    """
    tf = tensorflow()
    mean, std = (tf.constant(values, tf.float32) for values in (mean, std))
    shape = dataset.element_spec[0].shape

    def normalize(images, labels):
        images = tf.ensure_shape(tf.cast(images, tf.float32), shape)
        return (images / 255 - mean) / std, tf.cast(labels, tf.float32)

    try:  # one batch at a time: in parallel calls Keras's layers draw the same values
        augmented = dataset.map(lambda images, labels: apply(layers, images, labels))
    except (AttributeError, NotImplementedError, RuntimeError, TypeError) as error:
        if keras.backend.backend() == "tensorflow":
            raise
        raise ValueError(
            "A layer of `augmentation_layers` cannot run within tf.data on this backend, as the preprocessing layers of "
            f"Keras and keras-cv can. Pass pipeline='python'. ({error})"
        ) from error
    if not augmented.element_spec[0].shape.is_compatible_with(shape):
        raise ValueError(shape_error(shape, augmented.element_spec[0].shape))
    checked = FirstBatchCheck(check_augmented).of(augmented)
    return checked.map(tf.autograph.experimental.do_not_convert(normalize)).prefetch(PREFETCH)


def with_teacher_outputs(dataset, teacher_outputs):
    """Adds stored teacher outputs to batches.

    Args:
        dataset: `tf.data.Dataset` of `(images, labels)`.
        teacher_outputs: Function that returns an iterator of arrays, one for each batch.

    Returns:
        `tf.data.Dataset` of `({"image": images, "teacher": outputs}, labels)`, which ends with the teacher outputs.
    """
    tf = tensorflow()
    first = next(teacher_outputs())
    spec = tf.TensorSpec((None, *first.shape[1:]), first.dtype)
    stored = tf.data.Dataset.from_generator(until_exit(teacher_outputs), output_signature=spec)

    def join(batch, outputs):
        images, labels = batch
        return {"image": images, "teacher": outputs}, labels

    return tf.data.Dataset.zip(dataset, stored).map(tf.autograph.experimental.do_not_convert(join)).prefetch(PREFETCH)


def timed(dataset, timer):
    """Measures the time that the consumer of a dataset waits for each batch.

    Args:
        dataset: `tf.data.Dataset`.
        timer: `InputStallTimer`, which is updated.

    Returns:
        `tf.data.Dataset` of the same batches.
    """
    tf = tensorflow()

    def calls_of(function):
        """A dataset that calls a function of the timer whenever its next element is requested."""
        counter = tf.data.Dataset.counter()
        return counter.map(
            lambda count: tf.ensure_shape(tf.numpy_function(unless_exiting(function), [count], tf.int64), ())
        )

    options = tf.data.Options()
    options.autotune.enabled = False  # autotuning would prefetch, and the timer would measure the prefetching
    parts = tf.data.Dataset.zip(calls_of(timer.start), dataset, calls_of(timer.stop))  # requested in this order
    batches = parts.map(tf.autograph.experimental.do_not_convert(lambda start, batch, stop: batch))
    return batches.with_options(options)


def from_stream(stream, num_classes, image_size):
    """Converts a stream of arrays to a dataset.

    Args:
        stream: Function that returns an iterator of `(images, labels)`, float32 arrays.
        num_classes: Number of classes.
        image_size: `(height, width)` of the images in pixels.

    Returns:
        `tf.data.Dataset` of `(images, labels)`.
    """
    tf = tensorflow()
    images = tf.TensorSpec((None, *image_size, 3), tf.float32)
    labels = tf.TensorSpec((None, num_classes), tf.float32)
    return tf.data.Dataset.from_generator(until_exit(stream), output_signature=(images, labels)).prefetch(PREFETCH)


def _mixing_draws(plan, epoch, batch):
    """Share and box of every batch; `blends` says whether the share applies to all pixels."""
    for position in plan.iter_from(epoch, batch):
        share, box = plan.mixing(*position)
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
    """A function from an index to image and label within the graph; files are read without Python."""
    if data.paths is not None and data.labels is not None:
        check_labels(data.name, data.labels, data.num_classes)
        paths, labels = tf.constant([os.fsencode(path) for path in data.paths]), tf.constant(data.labels, tf.int64)
        return lambda index: (tf.io.read_file(paths[index]), labels[index])
    are_files = isinstance(data[0][0], bytes)
    kind = tf.string if are_files else tf.uint8
    shape = () if are_files else (None, None, 3)

    @unless_exiting
    def read(index):
        image, label = data[int(index)]
        check_labels(data.name, [label], data.num_classes)
        if are_files and not isinstance(image, bytes):  # records may have both
            image = png_file(image)
        elif not are_files and isinstance(image, bytes):
            image = read_image(image, data.bit_depth)
        return image, np.int64(label)

    def read_in_graph(index):
        image, label = tf.numpy_function(read, [index], (kind, tf.int64))
        return tf.ensure_shape(image, shape), tf.ensure_shape(label, ())

    return read_in_graph


def _mix(images, labels, share, box, blends):
    """See `mixing.mix`; computed on rows, which compile to faster loops than a last axis of three."""
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
