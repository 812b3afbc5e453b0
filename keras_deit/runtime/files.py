"""Atomic writing of files, and Keras's home directory."""

import contextlib
import errno
import functools
import glob
import hashlib
import json
import math
import os
import pathlib
import platform
import shutil
import tempfile
import time

ABANDONED_SECONDS = 24 * 60 * 60
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space left, quota used up, file larger than the limit


class DiskFullError(OSError):
    """A file cannot be written, because the disk is full or a limit on its size is reached.

    Args:
        message: Text of the error.
        number: `errno` of the cause.
    """

    def __init__(self, message, number):
        super().__init__(message)
        self.errno = number


def user_path(path):
    """The path that a user means: `~` is the home directory, as in a shell.

    Args:
        path: A string or a `pathlib.Path`.

    Returns:
        `pathlib.Path`.

    Example:

    >>> user_path("~/students").name, user_path("students/~a").as_posix()
    ('students', 'students/~a')
    """
    return pathlib.Path(path).expanduser()


def keras_home():
    """Returns Keras's directory for settings and downloads.

    Returns:
        `pathlib.Path`: the variable `KERAS_HOME`; without it `~/.keras`, or `/tmp/.keras` if the home directory cannot be
        written to.
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
def replacing(path, num_bytes=None):
    """Writes a file or directory atomically: the block writes to a temporary path, which then replaces `path`.

    If the block raises an error, or if the machine stops, `path` keeps its former content. The temporary path has the same
    suffix as `path`, because Keras infers the file format from the suffix. What a killed process has left of an earlier
    write of `path` is removed.

    Args:
        path: The file or directory to write. Missing parent directories are created. If `path` is a symbolic link, the link
            is kept and its target is written.
        num_bytes: Expected size in bytes. The space is tried out before the block begins, for libraries that do not survive
            a full disk, such as HDF5. None means unknown.

    Yields:
        `pathlib.Path` of the temporary file or directory, which does not exist yet.

    Raises:
        DiskFullError: If there is not enough space.

    Example:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/new/report.txt") as temporary:
    ...         _ = temporary.write_text("all of it")
    ...     pathlib.Path(f"{folder}/new/report.txt").read_text()
    'all of it'
    """
    with temporary_beside(path, num_bytes) as (temporary, path):
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
        flush_entry(path.parent)


@contextlib.contextmanager
def temporary_beside(path, num_bytes=None):
    """Provides a temporary path in the directory of a file or directory. What is there when the block ends is deleted.

    Args:
        path, num_bytes: As for `replacing`.

    Yields:
        `pathlib.Path` of the temporary file or directory, which does not exist yet, and that of the target: `path`, or if
        `path` is a symbolic link, what it leads to.

    Raises:
        DiskFullError: If there is not enough space.
    """
    path = user_path(path)
    name = path.name
    path = path.resolve() if path.is_symlink() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent, path.name)
    with (
        explaining_full_disk(path, num_bytes),
        tempfile.TemporaryDirectory(
            prefix=_temporary_prefix(path), suffix=f"-{os.getpid()}", dir=path.parent
        ) as folder,
    ):
        temporary = pathlib.Path(folder) / name
        if num_bytes:
            _try_space(temporary, num_bytes)
        yield temporary, path


def _try_space(path, num_bytes):
    """Reserves the space of a file and gives it back; an `OSError` says that it is missing."""
    if not hasattr(os, "posix_fallocate"):  # macOS and Windows
        if shutil.disk_usage(path.parent).free < num_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, num_bytes)
    path.unlink()


@contextlib.contextmanager
def explaining_full_disk(path, num_bytes=None):
    """Names the space that is needed and free if a file cannot be written within the block.

    Args:
        path: Path of the file.
        num_bytes: Size of the file, or None.

    Raises:
        DiskFullError: If there is not enough space.
    """
    try:
        yield
    except DiskFullError:
        raise
    except OSError as error:
        if error.errno not in FULL:
            raise
        needed = f"needs {format_bytes(num_bytes)}" if num_bytes else "needs more space"
        free = format_bytes(shutil.disk_usage(path.parent).free)
        limit = ", and files may not become larger here" if error.errno == errno.EFBIG else ""
        raise DiskFullError(
            f"The file {str(path)!r} cannot be written: it {needed}, {free} are free on its disk{limit} ({error.strerror}). "
            "What was there before is kept. Make room.",
            error.errno,
        ) from error


def format_bytes(num_bytes):
    """Formats a number of bytes for people to read.

    Example:

    >>> format_bytes(512), format_bytes(66_000_000), format_bytes(3 * 2**29)
    ('512 B', '62.9 MiB', '1.50 GiB')
    """
    for exponent, unit, digits in ((3, "GiB", 2), (2, "MiB", 1), (1, "KiB", 1)):
        if num_bytes >= 1024**exponent:
            return f"{num_bytes / 1024**exponent:.{digits}f} {unit}"
    return f"{num_bytes} B"


def _temporary_prefix(path):
    return f".{path.name}-{_numbering()}-"


@functools.cache
def _numbering():
    """Identifies what numbers this process: the machine, its start, and the container if there is one.

    Machines and containers that share a directory may have the same name, such as `localhost`.
    """
    facts = [platform.node()]
    with contextlib.suppress(OSError):  # of Linux
        facts += [pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def remove_abandoned(directory, name=None):
    """Removes what processes that no longer exist have left of files that they were writing by `replacing`.

    What processes of other machines or containers have left is removed after a day.

    Args:
        directory: Directory of the files.
        name: Name of the file; None means any.
    """
    for folder in pathlib.Path(directory).glob(f".{'*' if name is None else glob.escape(name)}-*-*-*"):
        with contextlib.suppress(OSError):  # another process removes it too
            _, numbering, _, process = folder.name.rsplit("-", 3)
            is_old = time.time() - folder.stat().st_mtime > ABANDONED_SECONDS
            if process.isdigit() and (is_old or (numbering == _numbering() and not is_running(int(process)))):
                shutil.rmtree(folder)


def is_running(process):
    """Returns whether a process of a number exists; on Windows, which has no harmless way to ask, True."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it exists, and belongs to another user
        return True
    return True


def write_whole(path, text):
    """Writes a text file atomically, see `replacing`.

    Args:
        path: The file to write.
        text: Its content, encoded as UTF-8.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, value):
    """Writes a value as a JSON file, as a whole or not at all.

    Args:
        path: The file to write.
        value: What JSON can hold. Infinite numbers and NaN, which JSON lacks, are written as null.

    Example:

    >>> import tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> write_json(f"{directory.name}/figures.json", {"loss": float("nan"), "epochs": (1, 2)})
    >>> print(pathlib.Path(directory.name, "figures.json").read_text(), end="")
    {
      "loss": null,
      "epochs": [
        1,
        2
      ]
    }
    """
    text = json.dumps(_without_nan(value), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(path, f"{text}\n")


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def flush(path):
    """Waits until a file, or a directory with its whole content, has been written to the disk (fsync).

    Args:
        path: The file or directory.
    """
    path = pathlib.Path(path)
    for entry in (*path.rglob("*"), path):
        flush_entry(entry)


def flush_entry(path):
    """Waits until a file, or the list of names in a directory, has been written to the disk (fsync).

    Args:
        path: The file or directory.
    """
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open a directory, and writes its entries without being asked
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
