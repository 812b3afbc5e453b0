"""Batches that a thread of this process makes."""

import concurrent.futures

import keras

from keras_deit.data.pipeline import tf_data_pipeline


def training_stream(batches, epoch=0, batch=0):
    """Yields training batches without an end; while one is used, a thread makes the next.

    Args:
        batches: `keras_deit.data.pipeline.pillow_batches.TrainingBatches`.
        epoch, batch: Position of the first batch; nothing before it is read.

    Yields:
        `(images, labels)`, see `TrainingBatches.batch`.
    """
    positions = batches.plan.iter_from(epoch, batch)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        upcoming = thread.submit(batches.batch, *next(positions))
        while True:
            made, upcoming = upcoming.result(), thread.submit(batches.batch, *next(positions))
            yield made


def for_fit(stream, num_classes, image_size):
    """Converts a stream of batches to what `fit` takes on the active backend.

    Args:
        stream: Function that returns an iterator of `(images, labels)`, float32 arrays.
        num_classes: Number of classes.
        image_size: `(height, width)` of the images in pixels.

    Returns:
        A `tf.data.Dataset` with TensorFlow, which replicas can share; otherwise the iterator.
    """
    if keras.backend.backend() == "tensorflow":
        return tf_data_pipeline.from_stream(stream, num_classes, image_size)
    return stream()
