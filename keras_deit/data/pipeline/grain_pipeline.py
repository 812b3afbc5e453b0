"""Batches that the worker processes of Grain make: a pipeline without TensorFlow."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types

import keras
import numpy as np

from keras_deit.data.augment import torch_resizing
from keras_deit.runtime.freed_memory import keep_freed_memory
from keras_deit.runtime.optional import require
from keras_deit.runtime.stop_signals import KINDS

SECONDS_AFTER_SIGTERM = 5  # in which a worker still makes batches


def training_stream(batches, epoch=0, batch=0, num_workers=2):
    """Makes training batches without an end.

    Args:
        batches: `keras_deit.data.pipeline.pillow_batches.TrainingBatches`. Each batch is made by one worker.
        epoch, batch: Position of the first batch; nothing before it is read.
        num_workers: Number of worker processes; 0 makes the batches in this process.

    Returns:
        `grain.IterDataset` of `(images, labels)`, see `TrainingBatches.batch`.

    Raises:
        ImportError: If Grain is missing.
    """
    grain = require("grain", extra="grain", purpose="The pipeline of worker processes")
    # Workers make the images in shared memory, from which this process reads them.
    empty = grain.multiprocessing.SharedMemoryArray if num_workers else np.empty
    source = _BatchSource(batches, epoch * batches.plan.num_batches + batch, empty)
    dataset = grain.MapDataset.source(source).to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=1))
    if not num_workers:
        return dataset
    flags = require("absl.flags", extra="grain", purpose="The pipeline of worker processes")
    if not flags.FLAGS.is_parsed():  # Grain needs parsed flags, which only programs started by absl have
        flags.FLAGS.mark_as_parsed()
    dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=num_workers), _start_worker)
    return _workers_without_main(grain)(dataset, num_workers)


def _workers_without_main(grain):
    """Makes the class of a dataset whose worker processes do not run the user's script again.

    A new worker process imports the module `__main__` of its parent. A script that trains without
    `if __name__ == "__main__":` would train again in each worker. The workers do not need the module: Grain sends the
    functions and classes of `__main__` that the dataset uses.
    """

    class Iterator(grain.DatasetIterator):
        def __init__(self, batches, num_workers):
            super().__init__(batches)
            self.batches = batches
            self.num_starts = num_workers  # each of the first batches may start a worker

        def __next__(self):
            if not self.num_starts:
                return next(self.batches)
            with _empty_main():
                batch = next(self.batches)
            self.num_starts -= 1
            return batch

        def get_state(self):
            return self.batches.get_state()

        def set_state(self, state):
            self.batches.set_state(state)

    class Dataset(grain.IterDataset):
        def __init__(self, dataset, num_workers):
            super().__init__(dataset)
            self.dataset = dataset
            self.num_workers = num_workers

        def __iter__(self):
            return Iterator(iter(self.dataset), self.num_workers)

    return Dataset


@contextlib.contextmanager
def _empty_main():
    """Replaces the module `__main__` by one without a file, which no child process imports."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _start_worker(*_):
    keep_freed_memory()
    if keras.backend.backend() == "torch":
        torch_resizing.use_one_thread()
    _leave_signals_to_the_run()
    threading.Thread(target=_end_with_the_run, daemon=True, name="end with the run").start()


def _leave_signals_to_the_run():
    """Lets a worker live on after the signals that ask a run to stop: terminals and schedulers send them to all.

    The run still needs the batch of the step that it finishes, and ends its workers itself. Python ends workers that are
    left by SIGTERM, which they obey some seconds later.
    """
    for kind in set(KINDS) - {signal.SIGTERM}:
        signal.signal(kind, signal.SIG_IGN)
    if hasattr(signal, "alarm"):  # Windows has none
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(SECONDS_AFTER_SIGTERM))


def _end_with_the_run():
    """Ends the worker when the run has ended. A run that is killed cannot end its workers."""
    multiprocessing.parent_process().join()
    os._exit(1)


class _BatchSource:
    """The batches of all epochs from a position on, by index."""

    def __init__(self, batches, first, empty):
        self.batches = batches
        self.first = first
        self.empty = empty

    def __len__(self):
        return 2**40  # more batches than any run has

    def __getitem__(self, index):
        position = divmod(self.first + index, self.batches.plan.num_batches)
        return self.batches.batch(*position, empty=self.empty)
