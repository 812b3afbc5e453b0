"""Where an export goes: a free path, or an earlier export that may be replaced."""

import contextlib
import os
import pathlib

from keras_deit.runtime.files import replacing


@contextlib.contextmanager
def destination(path, overwrite=False, marker=None):
    """Gives a temporary path; what is written there, a file or a directory, becomes `path` when the block ends well.

    When the block fails or is interrupted, `path` is as it was and nothing temporary is left.

    Args:
        path: The file or directory to write. Missing parent directories are made.
        overwrite: Whether an existing `path` may be replaced.
        marker: Name of the file by which a directory is known as an earlier export; None: no directory is replaced.

    Yields:
        The `pathlib.Path` to write to, with the name of `path`.

    Raises:
        FileExistsError: If `path` exists, without `overwrite` or as a directory that is no earlier export.

    Example:

    >>> import tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> with destination(f"{directory.name}/answer.txt") as temporary:
    ...     _ = temporary.write_text("42")
    >>> pathlib.Path(directory.name, "answer.txt").read_text()
    '42'
    """
    path = pathlib.Path(path)
    _check_free(path, overwrite, marker)
    with replacing(path) as temporary:
        yield temporary
        if path.is_dir():  # a directory that holds something cannot be replaced in one step
            os.replace(path, temporary.with_name(f"{path.name}.old"))


def _check_free(path, overwrite, marker):
    if not path.exists():
        return
    if not overwrite:
        raise FileExistsError(f"{path} exists already. Choose another path, or pass `overwrite=True` to replace it.")
    if path.is_dir() and not (marker and (path / marker).exists()):
        expected = f"a directory that holds {marker}" if marker else "a file"
        raise FileExistsError(
            f"`overwrite=True` replaces {expected}, and {path} is another directory. Choose another path, or delete it."
        )
