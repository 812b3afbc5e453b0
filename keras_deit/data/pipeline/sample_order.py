"""The order of the samples of an epoch: which copy of which image comes at which position, and in which process."""

import functools

import numpy as np

CUT_TO = 256  # an epoch with repeats is cut to a multiple of this number of samples, as in the official code


def num_samples(num_examples, repeats=1):
    """Counts the samples of an epoch.

    Args:
        num_examples: Number of images.
        repeats: Number of copies of each image. With more than one copy, an epoch still has only about as many samples as
            there are images.

    Returns:
        An integer.

    Example:

    >>> num_samples(1_281_167, repeats=3)
    1281024
    """
    return num_examples // CUT_TO * CUT_TO if repeats > 1 and num_examples >= CUT_TO else num_examples


def sample_indices(positions, num_examples, seed, epoch, repeats=1, turn=0):
    """Returns the samples at some positions of a shuffled epoch, without going through the positions before them.

    Args:
        positions: Integer array `(samples,)`.
        num_examples: Number of images.
        seed, epoch: Integers that determine the order.
        repeats: Number of consecutive copies of each image; each copy is augmented independently.
        turn: Number of times that the images of the epoch have been used up, in a run with more steps than batches. Each
            turn has another order and other copies.

    Returns:
        Two integer arrays `(samples,)`: indices of the images, and indices of the copies.

    Example:

    >>> indices, copies = sample_indices(np.arange(6), num_examples=100, seed=0, epoch=0, repeats=3)
    >>> bool(indices[0] == indices[2]), copies.tolist()
    (True, [0, 1, 2, 0, 1, 2])

    Reference:
        Hoffer et al., 2019 (arXiv 1901.09335); the official code's `RASampler`.
    """
    return _permutation(num_examples, seed, epoch, turn)[positions // repeats], positions % repeats + turn * repeats


def rows_of_shard(batch_size, shard, num_shards):
    """Returns the rows of a batch that one of several processes reads.

    A row and its counterpart from the end of the batch go to the same process, because mixup and CutMix mix the two. So the
    parts of all processes make up the batch that one process would read, also after mixing.

    Args:
        batch_size: Number of samples in the whole batch, a multiple of `num_shards`.
        shard, num_shards: Index of the process, and number of processes.

    Returns:
        Integer array `(batch_size // num_shards,)`, ascending.

    Example:

    >>> rows_of_shard(8, shard=0, num_shards=2).tolist(), rows_of_shard(8, shard=1, num_shards=2).tolist()
    ([0, 1, 6, 7], [2, 3, 4, 5])
    """
    pairs, unpaired = divmod(batch_size // num_shards, 2)
    first = shard * pairs + np.arange(pairs)
    middle = num_shards * pairs + shard + np.arange(unpaired)
    return np.concatenate([first, middle, batch_size - 1 - first[::-1]])


@functools.lru_cache(maxsize=2)
def _permutation(num_examples, seed, epoch, turn):
    return np.random.default_rng([seed, epoch, turn]).permutation(num_examples)
