"""Names of classes from a file."""

import codecs
import json
import unicodedata

from keras_deit.runtime.files import user_path


def read_class_names(path):
    """Reads a text file with one class name on each line.

    Empty lines at the end, a byte order mark and spaces around a name are ignored.

    Args:
        path: Path of the file, in UTF-8 (or in UTF-16 with a byte order mark).

    Returns:
        Tuple of strings, in Unicode's form NFC: an accented letter is a single character.

    Raises:
        ValueError: If the file cannot be read, is JSON, has another encoding, an empty line between names, or a name twice.
    """
    try:
        text = _decoded(user_path(path).read_bytes(), path)
    except OSError as error:
        raise ValueError(f"The file of class names {str(path)!r} cannot be read: {error.strerror}.") from error
    if _is_json(text):
        raise ValueError(
            f"The file of class names {str(path)!r} is JSON. Expected plain text, one class name on each line."
        )
    names = [unicodedata.normalize("NFC", line.strip()) for line in text.rstrip().splitlines()]
    if not names:
        raise ValueError(f"The file of class names {str(path)!r} is empty. Expected one class name on each line.")
    for line, name in enumerate(names, start=1):
        if not name:
            raise ValueError(f"Line {line} of {str(path)!r} is empty. Expected one class name on each line.")
        first = names.index(name) + 1
        if first < line:
            raise ValueError(f"Lines {first} and {line} of {str(path)!r} have the same class name {name!r}.")
    return tuple(names)


def _decoded(content, path):
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"The file of class names {str(path)!r} is not in UTF-8: line {line} is {content.splitlines()[line - 1]!r}. "
            "Save the file as UTF-8."
        ) from error


def _is_json(text):
    """Whether a text is an object or a list of JSON, as which Keras and transformers store the names of classes."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
