"""The path that an export is written to: a free one, or one of an earlier export that may be replaced."""

import contextlib
import os

from keras_deit.runtime.files import replacing, user_path


@contextlib.contextmanager
def destination(path, overwrite=False, marker=None):
    """Provides a temporary path, and moves the file or directory written there to `path` when the block ends.

    If the block fails or is interrupted, `path` stays as it was and the temporary files are deleted.

    Args:
        path: The file or directory to write. Missing parent directories are made.
        overwrite: Whether an existing `path` may be replaced.
        marker: Name of a file that every export of this kind contains. With `overwrite`, only a directory that contains
            this file is replaced. None means that no directory is replaced.

    Yields:
        The `pathlib.Path` to write to. Its last component is that of `path`.

    Raises:
        FileExistsError: If `path` exists and `overwrite` is false, or if it is a directory without the marker.

    Example:

    >>> import pathlib, tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> with destination(f"{directory.name}/export.txt") as temporary:
    ...     _ = temporary.write_text("weights")
    >>> pathlib.Path(directory.name, "export.txt").read_text()
    'weights'
    """
    path = user_path(path)
    _check_free(path, overwrite, marker)
    with replacing(path) as temporary:
        yield temporary
        if path.is_dir():  # a directory that is not empty cannot be replaced in one step
            os.replace(path, temporary.with_name(f"{path.name}.old"))


def _check_free(path, overwrite, marker):
    if not path.exists():
        return
    if not overwrite:
        raise FileExistsError(f"{path} already exists. Choose another path, or pass `overwrite=True` to replace it.")
    is_earlier_export = (path / marker).exists() if marker else not path.is_dir()
    if not is_earlier_export:
        expected = f"a directory that contains {marker}" if marker else "a file"
        raise FileExistsError(
            f"`overwrite=True` replaces only {expected}, and {path} is something else. Choose another path, or delete it."
        )
