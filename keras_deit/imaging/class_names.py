"""Names of classes: matching the order of two lists."""

import numpy as np

from keras_deit.imaging import imagenet

_LISTED = 3  # names of each list in a message


def match_classes(theirs, ours):
    """Finds where the classes of one list stand in another.

    The synsets of ImageNet, such as `n01440764`, equal the names of their classes.

    Args:
        theirs, ours: Sequences of names.

    Returns:
        Integer array of the positions in `theirs` of the names in `ours`; None if the lists hold other names, or a name
        several times in another order.

    Example:

    >>> match_classes(("cat", "dog", "bird"), ("bird", "cat", "dog")).tolist()
    [2, 0, 1]
    >>> match_classes(("cat", "dog"), ("cat", "horse")) is None
    True
    """
    theirs, ours = (list(map(imagenet.name_of_synset, names)) for names in (theirs, ours))
    if theirs == ours:
        return np.arange(len(ours))
    positions = {name: index for index, name in enumerate(theirs)}
    if len(positions) != len(theirs) or sorted(theirs) != sorted(ours):
        return None
    return np.array([positions[name] for name in ours])


def shorten_names(names):
    """Returns the first names of a list, for a message.

    Args:
        names: Sequence of names.

    Returns:
        A string.

    Example:

    >>> shorten_names(("cat", "dog", "bird", "fish"))
    'cat, dog, bird, ...'
    """
    return ", ".join([*names[:_LISTED], *(["..."] if len(names) > _LISTED else [])])
