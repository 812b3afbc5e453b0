"""Published weights: downloaded once, kept in Keras's directory, and checked whenever they are taken from there."""

import contextlib
import errno
import hashlib
import os
import pathlib
import re
import shutil
import socket

import keras

from keras_deit.runtime.files import keras_home, replacing
from keras_deit.runtime.optional import require
from keras_deit.weights.files import CONFIG, HUB_FILES

SILENCE = 60  # seconds without a byte after which a server is given up
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DownloadError(OSError):
    """A source that does not answer, or with something else than what was asked for; another one may."""


class HubUnreachableError(DownloadError):
    """No answer from the hub, whatever was asked for."""


def from_hub(repository, revision=None):
    """Downloads a checkpoint from the Hugging Face hub, or finds it where it was kept.

    What arrives has its final name only when it is whole. The hub names large files by their SHA-256, which is compared
    each time. The hub is asked whether there is a newer one; where it does not answer, what was kept is taken.

    Args:
        repository: `"owner/name"`.
        revision: Branch, tag or commit; None means the main branch.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        DownloadError: If the hub has no such file or sends another one.
        HubUnreachableError: If it does not answer.
        ImportError: If huggingface_hub is not installed.
        OSError: If there is no room for the file.
    """
    hub = _hub()
    for name in HUB_FILES:
        try:
            path = _fetched(hub, repository, name, revision)
        except hub.errors.LocalEntryNotFoundError as error:
            if path := kept_from_hub(repository, revision):
                return path
            raise HubUnreachableError(
                f"The hub does not answer, and {repository!r} was not downloaded before: {_root(error)}"
            ) from error
        except hub.errors.EntryNotFoundError:
            continue
        with contextlib.suppress(hub.errors.EntryNotFoundError, DownloadError):
            _fetched(hub, repository, CONFIG, revision)  # which tells what no tensor shows
        _check(path, _hash_of_name(path))
        return path
    raise DownloadError(f"{repository!r} on the hub has none of {', '.join(HUB_FILES)}.")


def kept_from_hub(repository, revision=None):
    """Finds a checkpoint of the hub where it was kept, without a network.

    Args:
        repository, revision: As for `from_hub`.

    Returns:
        The `pathlib.Path` of the file, or None.

    Raises:
        DownloadError: If the file has changed since; it is removed.
        ImportError: If huggingface_hub is not installed.
    """
    for name in HUB_FILES:
        found = _hub().try_to_load_from_cache(repository, name, cache_dir=_hub_folder(), revision=revision)
        if isinstance(found, str):
            path = pathlib.Path(found)
            _check(path, _hash_of_name(path))
            return path
    return None


def from_url(url, sha256=None):
    """Downloads a file, or finds it where it was kept.

    Args:
        url: Its address.
        sha256: What its SHA-256 begins with, compared each time; None where it is not known.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        DownloadError: If the server does not answer, or with another file.
        ImportError: If filelock is not installed.
        OSError: If there is no room for the file.
    """
    filelock = require("filelock", extra="weights", purpose="Downloading weights")
    path = _official_path(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.with_name(f"{path.name}.lock")):
        if kept := kept_from_url(url, sha256):
            return kept
        for left in path.parent.glob(f".{path.name}-*"):  # by a process that was killed: no other one has the lock
            shutil.rmtree(left, ignore_errors=True)
        with _explained(url, path.parent), replacing(path) as temporary, _given_up_after(SILENCE):
            keras.utils.get_file(temporary.name, origin=url, cache_dir=temporary.parent, cache_subdir="")
            _check(temporary, sha256)
    return path


def kept_from_url(url, sha256=None):
    """Finds a downloaded file where it was kept.

    Args:
        url, sha256: As for `from_url`.

    Returns:
        The `pathlib.Path` of the file, or None.

    Raises:
        DownloadError: If the file has changed since; it is removed.
    """
    path = _official_path(url)
    if not path.exists():
        return None
    _check(path, sha256)
    return path


def is_offline():
    """Whether the user has forbidden huggingface_hub to go to the network (`HF_HUB_OFFLINE`)."""
    return _hub().constants.HF_HUB_OFFLINE


def _hub():
    for part in ("constants", "errors"):  # which the package itself imports only when they are asked for
        require(f"huggingface_hub.{part}", extra="weights", purpose="Downloading weights from the hub")
    return require("huggingface_hub", extra="weights", purpose="Downloading weights from the hub")


def _hub_folder():
    return keras_home() / "keras_deit" / "hub"


def _official_path(url):
    return keras_home() / "keras_deit" / "official" / url.rpartition("/")[2]


def _fetched(hub, repository, name, revision):
    """A file of the hub's; what it does not have, or has no answer for, comes as the hub's own error."""
    with _explained(f"{repository!r} on the hub", _hub_folder(), hub.errors.EntryNotFoundError):
        return pathlib.Path(hub.hf_hub_download(repository, name, revision=revision, cache_dir=_hub_folder()))


def _check(path, sha256):
    """Removes a file that is not what it should be."""
    if sha256 is None:
        return
    with path.open("rb") as file:
        received = hashlib.file_digest(file, "sha256").hexdigest()
    if received.startswith(sha256):
        return
    path.resolve().unlink()
    path.unlink(missing_ok=True)  # a link to it
    raise DownloadError(
        f"{path.name} is not what was published: its SHA-256 is {received} and should begin with {sha256}. It was removed; "
        "the next attempt downloads it again."
    )


def _hash_of_name(path):
    """The SHA-256 that the hub's cache keeps as the name of the linked file; None where it has no links."""
    name = pathlib.Path(os.readlink(path)).name if path.is_symlink() else ""
    return name if re.fullmatch("[0-9a-f]{64}", name) else None


@contextlib.contextmanager
def _explained(source, folder, passed=DownloadError):
    """Errors of the disk and of the network, in words; those that are `passed` stay as they are."""
    try:
        yield
    except (DownloadError, passed):
        raise
    except Exception as error:  # each library has its own for the network, and Keras raises plain ones
        if getattr(error, "errno", None) in _NO_ROOM:
            raise OSError(
                error.errno,
                f"There is no room for {source} in {folder} ({os.strerror(error.errno)}). Nothing of it was kept. The "
                "variable KERAS_HOME names another place",
            ) from error
        raise DownloadError(f"{source}: {' '.join(str(error).split())}") from error


def _root(error):
    """The first thing that went wrong, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())


@contextlib.contextmanager
def _given_up_after(seconds):
    """A limit for connections that set none themselves."""
    former = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(former)
