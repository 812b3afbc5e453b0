"""The path that an export is written to: a free one, or one of an earlier export that may be replaced."""

import contextlib
import os

from keras_deit.runtime.files import flush, flush_entry, temporary_beside, user_path


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
    with destinations([path], overwrite, marker) as (temporary,):
        yield temporary


@contextlib.contextmanager
def destinations(paths, overwrite=False, marker=None):
    """Provides temporary paths for files that belong together, and moves the files to `paths` when the block ends.

    All files are complete on the disk before the first one is moved. New files never stand beside old ones: the old files
    are moved away first, and moved back after an error.

    Args:
        paths: List of the files to write, or of one directory. The target of a symbolic link is replaced, and not the link.
        overwrite, marker: As for `destination`.

    Yields:
        List of `pathlib.Path`, one for each path.

    Raises:
        FileExistsError: As for `destination`.
    """
    paths = [user_path(path) for path in paths]
    for path in paths:
        _check_free(path, overwrite, marker)
    with contextlib.ExitStack() as stack:
        temporaries, targets = zip(*(stack.enter_context(temporary_beside(path)) for path in paths), strict=True)
        yield list(temporaries)
        _move(temporaries, targets)


def _move(temporaries, targets):
    for temporary in temporaries:
        flush(temporary)
    pairs = list(zip(temporaries, targets, strict=True))
    # One file is replaced in one step. A directory that is not empty cannot be replaced so, nor can several files.
    old = [pair for pair in pairs if pair[1].exists() and (len(pairs) > 1 or pair[1].is_dir())]
    away = [(target, temporary.with_name(f"{target.name}.old")) for temporary, target in old]
    done = []
    try:
        for source, target in away + pairs:
            os.replace(source, target)
            done.append((source, target))
    except BaseException:
        for source, target in reversed(done):
            os.replace(target, source)
        raise
    for target in targets:
        flush_entry(target.parent)


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
