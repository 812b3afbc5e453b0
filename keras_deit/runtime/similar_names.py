"""What a misspelt path may mean, for messages."""

import difflib
import os

from keras_deit.runtime.files import user_path

SHOWN = 2


def similar_paths(path):
    """Finds files and folders whose names are like that of a path that does not exist.

    Args:
        path: A string or a `pathlib.Path`.

    Returns:
        List of at most two paths in the folder of `path`, strings, the most similar first; empty if `path` exists.
    """
    path = user_path(path)
    try:
        names = [] if path.exists() else os.listdir(path.parent)
    except OSError:  # the folder does not exist either, or may not be read
        return []
    return [str(path.with_name(name)) for name in difflib.get_close_matches(path.name, names, SHOWN)]


def did_you_mean(names):
    """Asks for the names that may be meant.

    Args:
        names: Iterable of strings.

    Returns:
        A question that continues a message, or an empty string without names.

    Example:

    >>> did_you_mean(["clothes", "cloth"]), did_you_mean([])
    (" Did you mean 'clothes' or 'cloth'?", '')
    """
    listed = " or ".join(map(repr, names))
    return f" Did you mean {listed}?" if listed else ""
