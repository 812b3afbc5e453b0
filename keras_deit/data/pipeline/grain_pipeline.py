"""Batches that the worker processes of Grain make: a pipeline without TensorFlow."""

from keras_deit.runtime.optional import require


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
    source = _BatchSource(batches, first=epoch * batches.plan.num_batches + batch)
    dataset = grain.MapDataset.source(source).to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=1))
    if not num_workers:
        return dataset
    flags = require("absl.flags", extra="grain", purpose="The pipeline of worker processes")
    if not flags.FLAGS.is_parsed():  # Grain needs parsed flags, which only programs started by absl have
        flags.FLAGS.mark_as_parsed()
    return dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=num_workers))


class _BatchSource:
    """The batches of all epochs from a position on, by index."""

    def __init__(self, batches, first):
        self.batches = batches
        self.first = first

    def __len__(self):
        return 2**40  # more batches than any run has

    def __getitem__(self, index):
        return self.batches.batch(*divmod(self.first + index, self.batches.plan.num_batches))
