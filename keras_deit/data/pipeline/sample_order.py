"""The order of the samples of an epoch: which copy of which image comes at which position."""

import functools

import numpy as np

CUT_TO = 256  # an epoch with repeats is cut to a multiple of this number of samples, as in the official code


def num_samples(num_examples, repeats=1, num_shards=1):
    """Counts the samples that a process sees in an epoch.

    Args:
        num_examples: Number of images.
        repeats: Number of copies of each image. With more than one copy, an epoch still has only about as many samples as
            there are images.
        num_shards: Number of processes that share the epoch.

    Returns:
        An integer.

    Example:

    >>> num_samples(1_281_167, repeats=3, num_shards=4)
    320256
    """
    whole = num_examples // CUT_TO * CUT_TO if repeats > 1 and num_examples >= CUT_TO else num_examples
    return whole // num_shards


def sample_indices(start, stop, num_examples, seed, epoch, repeats=1, shard=0, num_shards=1, turn=0):
    """Returns the samples at some positions of a shuffled epoch, without going through the positions before them.

    Args:
        start, stop: First position, and the position after the last, in the process's own shard.
        num_examples: Number of images.
        seed, epoch: Integers that determine the order.
        repeats: Number of consecutive copies of each image; each copy is augmented independently.
        shard, num_shards: Index of the process, and number of processes; the shards are interleaved.
        turn: Number of times that the images of the epoch have been used up, in a run with more steps than batches. Each
            turn has another order and other copies.

    Returns:
        Two integer arrays `(stop - start,)`: indices of the images, and indices of the copies.

    Example:

    >>> indices, copies = sample_indices(0, 6, num_examples=100, seed=0, epoch=0, repeats=3)
    >>> bool(indices[0] == indices[2]), copies.tolist()
    (True, [0, 1, 2, 0, 1, 2])

    Reference:
        Hoffer et al., 2019 (arXiv 1901.09335); the official code's `RASampler`.
    """
    positions = shard + num_shards * np.arange(start, stop)
    return _permutation(num_examples, seed, epoch, turn)[positions // repeats], positions % repeats + turn * repeats


@functools.lru_cache(maxsize=2)
def _permutation(num_examples, seed, epoch, turn):
    return np.random.default_rng([seed, epoch, turn]).permutation(num_examples)
