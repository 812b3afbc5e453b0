"""The check of the images in the first batch of any kind of data, without a batch being drawn in addition."""

import contextlib
import copy
import types

import keras


class FirstBatchCheck:
    """Calls a function on the images of the first batch that data give.

    Args:
        check: Function of images, `(batch, height, width, channels)`, that raises a ValueError.
    """

    def __init__(self, check):
        self.check = check
        self.failure = None

    def wrap(self, data):
        """Wraps data as `fit` takes them.

        Args:
            data: A `tf.data.Dataset`, a `keras.utils.PyDataset`, a generator, a `torch.utils.data.DataLoader`, a dataset of
                Grain, or anything else.

        Returns:
            Data that give the same batches. Anything else is returned unchanged.
        """
        if hasattr(data, "element_spec"):
            return self._wrap_tf_dataset(data)
        if isinstance(data, keras.utils.PyDataset):
            return _CheckedPyDataset(data, self)
        if isinstance(data, types.GeneratorType):
            return map_generator(_OnFirstBatch(self), data)
        kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(data).__mro__}
        if "torch.DataLoader" in kinds:
            checked = copy.copy(data)
            checked.collate_fn = _CheckedCollation(data.collate_fn, self)
            return checked
        if kinds & {"grain.MapDataset", "grain.IterDataset"}:
            return data.map(_OnFirstBatch(self))
        return data

    @contextlib.contextmanager
    def raising(self):
        """Raises the error of the check itself where a pipeline has raised an error of its own because of it."""
        try:
            yield
        except Exception:
            if self.failure is not None:
                raise self.failure from None
            raise

    def __call__(self, batch):
        """Checks the images of a batch."""
        images = _images_of(batch)
        try:
            self.check(images)
        except ValueError as error:
            self.failure = error
            raise

    def _wrap_tf_dataset(self, dataset):
        import tensorflow as tf

        def check(images):
            self(images)
            return images.ndim

        def checked(index, batch):
            images = _images_of(batch)
            count = tf.cond(
                index == 0,
                lambda: tf.numpy_function(check, [images], tf.int64),
                lambda: tf.constant(0, tf.int64),
            )
            with tf.control_dependencies([count]):
                return tf.nest.map_structure(tf.identity, batch)

        return dataset.enumerate().map(checked)


def map_generator(function, generator):
    """Yields `function(batch)` for each batch of a generator."""
    for batch in generator:
        yield function(batch)


class _OnFirstBatch:
    """The identity of batches, which checks the first one."""

    def __init__(self, check):
        self.check = check
        self.is_first = True

    def __call__(self, batch):
        if self.is_first:
            self.is_first = False
            self.check(batch)
        return batch


class _CheckedCollation:
    """The `collate_fn` of a `DataLoader`, with a check of the first batch."""

    def __init__(self, collate, check):
        self.collate = collate
        self.on_first_batch = _OnFirstBatch(check)

    def __call__(self, samples):
        return self.on_first_batch(self.collate(samples))


class _CheckedPyDataset(keras.utils.PyDataset):
    """A `PyDataset` that checks its batch of index 0."""

    def __init__(self, dataset, check):
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self.dataset = dataset
        self.check = check

    @property
    def num_batches(self):
        return self.dataset.num_batches

    def __getitem__(self, index):
        batch = self.dataset[index]
        if index == 0:
            self.check(batch)
        return batch

    def on_epoch_begin(self):
        self.dataset.on_epoch_begin()

    def on_epoch_end(self):
        self.dataset.on_epoch_end()


def _images_of(batch):
    images = batch[0] if isinstance(batch, (tuple, list)) else batch
    return images["image"] if isinstance(images, dict) and "image" in images else images
