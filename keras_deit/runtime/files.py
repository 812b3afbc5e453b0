"""Files that are written whole or not at all, and the directory where what lasts is kept."""

import contextlib
import os
import pathlib
import tempfile


def keras_home():
    """Keras's directory for settings and downloads: `KERAS_HOME`, or `~/.keras`, or, as a last resort, `/tmp/.keras`.

    Returns:
        A `pathlib.Path`.
    """
    if "KERAS_HOME" in os.environ:
        return pathlib.Path(os.environ["KERAS_HOME"])
    home = pathlib.Path.home()
    return (home if os.access(home, os.W_OK) else pathlib.Path("/tmp")) / ".keras"


def cache_directory(name):
    """This package's directory under Keras's for downloads and other files that later runs reuse.

    Args:
        name: What is kept there, for example `"teachers"`.

    Returns:
        The `pathlib.Path` of `keras_home() / "keras_deit" / name`; the directory need not exist.
    """
    return keras_home() / "keras_deit" / name


@contextlib.contextmanager
def replacing(path):
    """Gives a temporary path beside `path` that takes its place when the block ends without an error.

    The temporary name keeps the ending, from which Keras tells the format. Whatever goes wrong, a power cut included,
    `path` holds what it held before or all of what was written.

    Args:
        path: The file to write.

    Yields:
        `pathlib.Path` to write to, a file or a directory.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        temporary = pathlib.Path(folder) / path.name
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
        _flush_one(path.parent)


def write_whole(path, text):
    """Writes a text file whole or not at all.

    Args:
        path: The file to write.
        text: Its content, written as UTF-8.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def flush(path):
    """Waits until a file, or a directory with all that it holds, is on the disk and not only in the system's memory.

    Args:
        path: The file or directory.
    """
    path = pathlib.Path(path)
    for part in (*path.rglob("*"), path):
        _flush_one(part)


def _flush_one(path):
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no directory, and writes the names by itself
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
