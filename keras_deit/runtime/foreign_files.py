"""Errors while reading files from elsewhere: a ValueError that names the file, without advice to load unsafely."""

import contextlib
import re

_UNSAFE = re.compile(r"safe_mode|weights_only|unsafe", re.IGNORECASE)
_LIMIT = 300  # characters of a passed-on message


@contextlib.contextmanager
def reading(path):
    """Turns the errors that damaged or crafted files cause into a ValueError that names the file.

    Args:
        path: The file, or a name for it.

    Raises:
        ValueError: If the block raises any error but an ImportError, an OSError or a MemoryError. A ValueError that names
            the file already passes unchanged.

    Example:

    >>> with reading("model.safetensors"):
    ...     {"shape": 3}["dtype"]
    Traceback (most recent call last):
    ...
    ValueError: The file 'model.safetensors' is damaged, or of another kind than its name says (KeyError: 'dtype').
    """
    try:
        yield
    except (ImportError, OSError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        raise ValueError(
            f"The file {str(path)!r} is damaged, or of another kind than its name says ({type(error).__name__}: "
            f"{excerpt(error)})."
        ) from cause(error)


def excerpt(error):
    """Returns the beginning of an error's message, without the sentences that advise to load a file unsafely.

    Frameworks suggest options that let a file run code when they refuse one.

    Args:
        error: The exception.

    Returns:
        One line of at most about 300 characters, which ends with a whole word.

    Example:

    >>> excerpt(ValueError("A Lambda layer is refused. Pass `safe_mode=False` to load it. It could run code"))
    'A Lambda layer is refused. It could run code'
    """
    text = " ".join(str(error).split())
    sentences = [sentence for sentence in re.split(r"(?<=[.!?:;])\s", text) if not _UNSAFE.search(sentence)]
    kept = " ".join(sentences).rstrip(".")
    if len(kept) <= _LIMIT:
        return kept
    return kept[:_LIMIT].rpartition(" ")[0] + " ..."


def cause(error):
    """Returns the error to chain a new one to: None if a traceback of `error` would advise to load a file unsafely.

    Args:
        error: The exception.

    Returns:
        `error` or None.
    """
    return None if _UNSAFE.search(str(error)) else error
