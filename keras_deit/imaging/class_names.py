"""Names of classes: reading a list of them, and matching the order of two lists."""

import collections
import collections.abc
import numbers
import re
import unicodedata

import numpy as np

from keras_deit.imaging import imagenet


def names_in_order(class_names):
    """Reads the names of classes, which are in the order of the labels.

    Args:
        class_names: List, array or other sequence of strings or integers.

    Returns:
        Tuple of strings.

    Raises:
        ValueError: If it is a dictionary, a set or a single string, or if a name is neither a string nor an integer.

    Example:

    >>> names_in_order(["cat", 3])
    ('cat', '3')
    >>> names_in_order({"dog": 1, "cat": 0})
    Traceback (most recent call last):
    ...
    ValueError: `class_names` must be a list of strings or integers in the order ...
    """
    advice = ""
    if isinstance(class_names, collections.abc.Mapping):
        advice = " Of a dictionary from names to labels, pass sorted(names, key=names.get)."
    has_no_order = isinstance(class_names, (str, bytes, collections.abc.Mapping, collections.abc.Set))
    names = [] if has_no_order else list(class_names)
    if has_no_order or not all(isinstance(name, (str, numbers.Integral)) for name in names):
        raise ValueError(
            "`class_names` must be a list of strings or integers in the order of the labels. Received: "
            f"class_names={str(class_names)[:100]!r}.{advice}"
        )
    return tuple(map(str, names))


def match_classes(theirs, ours):
    """Finds where the classes of one list stand in another.

    Names that only count the classes, such as `0`, `1`, ... or `LABEL_0`, `LABEL_1`, ..., are unknown names: they match
    the other list in its order. Upper case, hyphens, underscores, spaces and the Unicode form make no other name. A name
    with synonyms, such as `tench, Tinca tinca`, equals its first one. The synsets of ImageNet, such as `n01440764`, equal
    the names of their classes.

    Args:
        theirs, ours: Sequences of as many names.

    Returns:
        Integer array of the positions in `theirs` of the names in `ours`; None if the lists hold other names, or a name
        several times in another order.

    Example:

    >>> match_classes(("cat", "dog", "bird"), ("bird", "cat", "dog")).tolist()
    [2, 0, 1]
    >>> match_classes(("cat", "Great Dane, German mastiff"), ("great_dane", "Cat")).tolist()
    [1, 0]
    >>> match_classes(("cat", "dog"), ("0", "1")).tolist()
    [0, 1]
    >>> match_classes(("cat", "dog"), ("cat", "horse")) is None
    True
    """
    for read in (_as_they_are, _as_synsets, _spelt_alike):  # the strictest first
        positions = _positions(read(theirs), read(ours))
        if positions is not None:
            return positions
    if only_count(theirs) or only_count(ours):
        return np.arange(len(ours))
    positions = _positions(_first_synonyms(theirs), _first_synonyms(ours))
    return positions if positions is not None and _are_synonyms(theirs, ours, positions) else None


def find_classes(theirs, ours):
    """Finds where the classes of a list stand in another list, which may hold further classes.

    Args:
        theirs, ours: Sequences of names, see `match_classes`. In a longer list, names that only count the classes are names
            like any other.

    Returns:
        Integer array of the positions in `theirs` of the names in `ours`; None if a name has no counterpart, or several.

    Example:

    >>> find_classes(("tench, Tinca tinca", "goldfish", "church"), ("church", "tench")).tolist()
    [2, 0]
    >>> find_classes(("cat", "dog", "bird"), ("cat", "horse")) is None
    True
    """
    if len(theirs) == len(ours):
        return match_classes(theirs, ours)
    for read in (_as_they_are, _as_synsets, _spelt_alike):
        positions = _positions_of_some(read(theirs), read(ours))
        if positions is not None:
            return positions
    positions = _positions_of_some(_first_synonyms(theirs), _first_synonyms(ours))
    return positions if positions is not None and _are_synonyms(theirs, ours, positions) else None


def only_count(names):
    """Returns whether names only count the classes, such as `0`, `1`, ... or `LABEL_0`, `LABEL_1`, ...

    Args:
        names: Sequence of names.

    Returns:
        Boolean.

    Example:

    >>> only_count(("0", "1")), only_count(("LABEL_0", "LABEL_1")), only_count(("1", "2"))
    (True, True, False)
    """
    return all(re.fullmatch(rf"(label|class)?[ _]?{index}", name, re.IGNORECASE) for index, name in enumerate(names))


def _positions(theirs, ours):
    """The positions of equal names; None if there are others."""
    if theirs == ours:
        return np.arange(len(ours))
    positions = {name: index for index, name in enumerate(theirs)}
    if len(positions) != len(theirs) or sorted(theirs) != sorted(ours):
        return None
    return np.array([positions[name] for name in ours])


def _positions_of_some(theirs, ours):
    """The positions of the names in `ours`; None if one is missing or stands there several times."""
    counts = collections.Counter(theirs)
    if len(set(ours)) != len(ours) or any(counts[name] != 1 for name in ours):
        return None
    return np.array([theirs.index(name) for name in ours])


def _as_they_are(names):
    return [unicodedata.normalize("NFC", name) for name in names]


def _as_synsets(names):
    """The synsets of all classes of ImageNet in its order: two of the classes have the name crane."""
    return list(imagenet.synsets()) if tuple(names) == imagenet.class_names() else list(names)


def _spelt_alike(names):
    return [_without_spelling(imagenet.name_of_synset(name)) for name in names]


def _first_synonyms(names):
    return [_synonyms(name)[0] for name in names]


def _are_synonyms(theirs, ours, positions):
    return all(_share_synonyms(theirs[index], name) for index, name in zip(positions, ours, strict=True))


def _share_synonyms(one, other):
    """Whether all synonyms of one of the two names are among those of the other."""
    one, other = set(_synonyms(one)), set(_synonyms(other))
    return one <= other or other <= one


def _synonyms(name):
    return [_without_spelling(synonym) for synonym in imagenet.name_of_synset(name).split(",")]


def _without_spelling(name):
    return re.sub(r"[\s_-]", "", unicodedata.normalize("NFC", name).casefold())
