"""Which view of which image comes at which place of an epoch."""

import functools

import numpy as np

CUT_TO = 256  # views, of an epoch with repeats, as in the official code


def num_views(num_examples, repeats=1, num_shards=1):
    """The number of views that a process sees in an epoch.

    Args:
        num_examples: Number of images.
        repeats: How often each image comes; with more than one only about as many views are taken as there are images.
        num_shards: Number of processes that share the epoch.

    Returns:
        An integer.

    Example:

    >>> num_views(1_281_167, repeats=3, num_shards=4)
    320256
    """
    whole = num_examples // CUT_TO * CUT_TO if repeats > 1 and num_examples >= CUT_TO else num_examples
    return whole // num_shards


def views(start, stop, num_examples, seed, epoch, repeats=1, shard=0, num_shards=1, turn=0):
    """The views at some places of a shuffled epoch; any place is found without going through those before it.

    Args:
        start, stop: First place, and the one after the last, within the process's own share.
        num_examples: Number of images.
        seed, epoch: What the order follows from.
        repeats: How often each image comes, one copy after the other; each copy is augmented by itself.
        shard, num_shards: Which of how many processes asks; their shares take turns.
        turn: How often an epoch of more steps than there are has come to its end; the next turn has another order, and
            copies of other numbers.

    Returns:
        Two integer arrays `(stop - start,)`: indices of the images, and numbers of the copies.

    Example:

    >>> indices, copies = views(0, 6, num_examples=100, seed=0, epoch=0, repeats=3)
    >>> bool(indices[0] == indices[2]), copies.tolist()
    (True, [0, 1, 2, 0, 1, 2])

    Reference:
        Hoffer et al., 2019 (arXiv 1901.09335); the official code's `RASampler`.
    """
    places = shard + num_shards * np.arange(start, stop)
    return _order(num_examples, seed, epoch, turn)[places // repeats], places % repeats + turn * repeats


@functools.lru_cache(maxsize=2)
def _order(num_examples, seed, epoch, turn):
    return np.random.default_rng([seed, epoch, turn]).permutation(num_examples)
