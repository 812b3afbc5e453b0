"""Files that are written whole or not at all."""

import contextlib
import os
import pathlib
import tempfile


@contextlib.contextmanager
def replacing(path):
    """Gives a temporary path beside `path` that takes its place when the block ends without an error.

    The temporary name keeps the ending, from which Keras tells the format. Whatever goes wrong, `path` holds what it held
    before.

    Args:
        path: The file to write.

    Yields:
        `pathlib.Path` to write to.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        temporary = pathlib.Path(folder) / path.name
        yield temporary
        os.replace(temporary, path)


def write_whole(path, text):
    """Writes a text file whole or not at all.

    Args:
        path: The file to write.
        text: Its content, written as UTF-8.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
