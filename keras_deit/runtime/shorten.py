"""Lists of names in messages."""


def shorten(names, shown=8):
    """Lists names for a message: the first ones and how many there are, or all if there are hardly more.

    Args:
        names: Iterable of names, or of other objects whose strings are listed.
        shown: Number of names that are listed of many.

    Returns:
        A string; empty if there are no names.

    Example:

    >>> shorten(["cat", "dog"]), shorten(range(7), shown=3)
    ('cat, dog', '0, 1, 2, ... (7 in all)')
    """
    names = list(map(str, names))
    return ", ".join(names) if len(names) <= shown + 2 else f"{', '.join(names[:shown])}, ... ({len(names)} in all)"
