"""A look at the first batch of whatever `fit`, `evaluate` and `predict` take."""

import copy
import types

import keras

from keras_deit.runtime.devices import import_tensorflow
from keras_deit.runtime.shutdown import unless_exiting


class FirstBatchCheck:
    """Checks the first batch of data for `fit`, `evaluate` or `predict`, in the same pass that uses the data.

    Nothing is read twice, and the order of the batches and the random values in them stay the same. As a context manager it
    raises the error of the check as it was raised, where TensorFlow or a worker process would wrap it.

    Args:
        check: Function that receives the images of a batch (the first entry of a tuple), NumPy arrays or tensors in their
            structure, and raises a ValueError if it refuses them. Worker processes need one that can be pickled.

    Example:

    >>> import numpy as np
    >>> batches = (np.full((2, 4), index) for index in range(3))
    >>> with FirstBatchCheck(lambda images: print(images.max())) as first:
    ...     largest = [batch.max() for batch in first.of(batches)]
    0
    >>> [int(value) for value in largest]
    [0, 1, 2]
    """

    def __init__(self, check):
        self._check = check
        self._error = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, Exception) and self._error is not None and error is not self._error:
            raise self._error from None

    def of(self, data):
        """Returns data of the same kind whose first batch is checked when it is read; arrays are checked at once.

        Args:
            data: Arrays or tensors in any structure, `tf.data.Dataset`, `keras.utils.PyDataset`, generator, PyTorch's
                `DataLoader`, or a Grain dataset. Data of other kinds are not checked.

        Returns:
            The arrays themselves, or a wrapped dataset.
        """
        if isinstance(data, keras.utils.PyDataset):
            return _CheckedPyDataset(data, self._look)
        if isinstance(data, types.GeneratorType):
            return self._of_generator(data)
        if hasattr(data, "element_spec") and hasattr(data, "enumerate"):
            return self._of_tf_dataset(data)
        if hasattr(data, "collate_fn"):
            return self._of_data_loader(data)
        if type(data).__module__.startswith("grain") and hasattr(data, "map"):
            return data.map(_Once(self._look))
        if all(hasattr(array, "shape") for array in keras.tree.flatten(data)):
            self._look((data,))
        return data

    def _look(self, batch):
        images = batch[0] if isinstance(batch, (tuple, list)) else batch
        try:
            self._check(images)
        except ValueError as error:
            self._error = error
            raise

    def _of_generator(self, batches):
        look = _Once(self._look)
        return (look(batch) for batch in batches)

    def _of_data_loader(self, loader):
        checked = copy.copy(loader)
        checked.collate_fn = _CheckedCollation(loader.collate_fn, self._look)
        return checked

    def _of_tf_dataset(self, dataset):
        tf = import_tensorflow(purpose="A tf.data.Dataset")
        if not all(isinstance(spec, tf.TensorSpec) for spec in tf.nest.flatten(dataset.element_spec)):
            return dataset  # ragged and sparse tensors have no counterpart in NumPy

        def look(structure, *values):
            self._look((tf.nest.pack_sequence_as(structure, values),))
            return True

        def checked(index, batch):
            images = batch[0] if isinstance(batch, tuple) else batch
            values = tf.nest.flatten(images)
            call = unless_exiting(lambda *values: look(images, *values))
            is_checked = tf.cond(index > 0, lambda: True, lambda: tf.numpy_function(call, values, tf.bool))
            with tf.control_dependencies([is_checked]):
                return tf.nest.map_structure(tf.identity, batch)

        return dataset.enumerate().map(tf.autograph.experimental.do_not_convert(checked))


class _Once:
    """Passes batches on, the first one after a look at it."""

    def __init__(self, look):
        self._look = look
        self._has_looked = False

    def __call__(self, batch):
        if not self._has_looked:
            self._look(batch)
            self._has_looked = True
        return batch


class _CheckedCollation:
    """The function by which a `DataLoader` makes batches, with a look at the first batch of each process."""

    def __init__(self, collate, look):
        self._collate = collate
        self._once = _Once(look)

    def __call__(self, examples):
        return self._once(self._collate(examples))


class _CheckedPyDataset(keras.utils.PyDataset):
    """A `PyDataset` whose first batch is checked."""

    def __init__(self, data, look):
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self._data = data
        self._once = _Once(look)

    @property
    def num_batches(self):
        return self._data.num_batches

    def __getitem__(self, index):
        return self._once(self._data[index])

    def on_epoch_begin(self):
        self._data.on_epoch_begin()

    def on_epoch_end(self):
        self._data.on_epoch_end()
