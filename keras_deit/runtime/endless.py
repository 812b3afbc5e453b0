"""Batches without an end, which `fit` takes with a number of steps only."""

import weakref

_ENDLESS = weakref.WeakSet()


def mark_endless(batches):
    """Marks batches as having no end, which Keras cannot know of a generator or a dataset.

    Args:
        batches: Generator or dataset.

    Returns:
        `batches` itself.
    """
    _ENDLESS.add(batches)
    return batches


def is_endless(data):
    """Returns whether data of any kind were marked by `mark_endless`."""
    return any(data is batches for batches in _ENDLESS)


def check_steps(argument, steps, data):
    """Refuses endless batches without a number of steps, with which an epoch or an evaluation would never finish.

    Args:
        argument: Name of the argument that has the number of steps.
        steps: Number of steps, or None.
        data: Data of any kind.

    Raises:
        ValueError: If `steps` is None and the data were marked by `mark_endless`.

    Example:

    >>> import itertools
    >>> batches = mark_endless(index for index in itertools.count())
    >>> check_steps("steps_per_epoch", 3, batches)
    >>> check_steps("steps_per_epoch", None, batches)
    Traceback (most recent call last):
    ValueError: The batches of `InputPipeline.training_batches` have no end. Pass `steps_per_epoch`, for an epoch ...
    """
    if steps is None and is_endless(data):
        raise ValueError(
            f"The batches of `InputPipeline.training_batches` have no end. Pass `{argument}`, for an epoch "
            f"`{argument}=pipeline.steps`."
        )
