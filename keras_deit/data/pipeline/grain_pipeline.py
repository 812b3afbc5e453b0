"""Batches from worker processes, by Grain: a pipeline without TensorFlow."""

from keras_deit.runtime.optional import require


class _Stream:
    """The batches of all epochs from some place on, by number."""

    def __init__(self, batches, first):
        self.batches = batches
        self.first = first

    def __len__(self):
        return 2**40  # without an end, as far as a run is concerned

    def __getitem__(self, index):
        epoch, batch = divmod(self.first + index, self.batches.num_batches)
        self.batches.epoch = epoch
        return self.batches[batch]


def training_stream(batches, epoch=0, batch=0, num_workers=2):
    """Training batches without an end, from any batch of any epoch on.

    Args:
        batches: `keras_deit.data.Batches`, whose every batch is made by one of the workers.
        epoch, batch: Where to begin; nothing before it is read.
        num_workers: Number of processes; 0 means none but this one.

    Returns:
        `grain.IterDataset` of `(images, labels)` arrays.

    Raises:
        ImportError: If Grain is missing.
    """
    grain = require("grain", extra="grain", purpose="The pipeline of worker processes")
    stream = _Stream(batches, epoch * batches.num_batches + batch)
    dataset = grain.MapDataset.source(stream).to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=1))
    if not num_workers:
        return dataset
    flags = require("absl.flags", extra="grain", purpose="The pipeline of worker processes")
    if not flags.FLAGS.is_parsed():  # which Grain takes for granted, and only programs begun by absl do
        flags.FLAGS.mark_as_parsed()
    return dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=num_workers))
