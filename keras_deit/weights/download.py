"""Downloads of published weights: cached in Keras's directory, and checked each time they are used."""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import socket

import keras

from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.files import FULL, cache_directory, replacing
from keras_deit.runtime.optional import require
from keras_deit.weights.files import CONFIG, HUB_FILES, parts
from keras_deit.weights.record import PREPROCESSOR

TIMEOUT = 60  # seconds without a byte after which a download fails


class DownloadError(OSError):
    """A source cannot be reached, lacks the file, or sends another file. Another source may work."""


class HubUnreachableError(DownloadError):
    """The Hugging Face hub cannot be reached."""


def from_hub(repository, revision=None):
    """Downloads a checkpoint from the Hugging Face hub, or finds it in the cache.

    The hub is asked for a newer version each time; if it cannot be reached, the cached file is used. The cache names large
    files by the SHA-256 that the hub states, which is compared each time. An incomplete download never gets a file's name.

    Args:
        repository: `"owner/name"`.
        revision: Branch, tag or commit; None means the main branch.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        DownloadError: If the hub lacks the file or sends another one.
        HubUnreachableError: If the hub cannot be reached and the file is not in the cache.
        ImportError: If huggingface_hub is not installed.
        OSError: If the disk is full.
    """
    hub = _hub()
    for name in HUB_FILES:
        try:
            path = _fetch(hub, repository, name, revision)
        except hub.errors.LocalEntryNotFoundError as error:
            cached = cached_from_hub(repository, revision)
            if cached is None:
                raise HubUnreachableError(
                    f"The hub cannot be reached, and {repository!r} was not downloaded before: {_first_cause(error)}"
                ) from error
            return cached
        except hub.errors.EntryNotFoundError:
            continue
        for stated in (CONFIG, PREPROCESSOR):  # what no tensor determines
            _fetch_if_there(hub, repository, stated, revision)
        for part in parts(path):
            try:
                _fetch(hub, repository, part.name, revision)
            except hub.errors.EntryNotFoundError as error:
                raise DownloadError(
                    f"{repository!r} on the hub lacks the file {part.name}, which {path.name} lists."
                ) from error
        for file in (path, *parts(path)):
            _check(file, _hash_of_name(file))
        return path
    raise DownloadError(f"{repository!r} on the hub has none of {', '.join(HUB_FILES)}.")


def cached_from_hub(repository, revision=None):
    """Finds a checkpoint of the hub in the cache, without a network.

    Args:
        repository, revision: As for `from_hub`.

    Returns:
        The `pathlib.Path` of the file, or None.

    Raises:
        DownloadError: If the file has changed since its download; it is removed.
        ImportError: If huggingface_hub is not installed.
    """
    for name in HUB_FILES:
        found = _hub().try_to_load_from_cache(repository, name, cache_dir=cache_directory("hub"), revision=revision)
        if isinstance(found, str):  # and not None or a marker of a missing file
            path = pathlib.Path(found)
            if not all(part.exists() for part in parts(path)):
                continue
            for file in (path, *parts(path)):
                _check(file, _hash_of_name(file))
            return path
    return None


def from_url(url, sha256=None):
    """Downloads a file, or finds it in the cache.

    Args:
        url: Address of the file.
        sha256: First digits of the file's SHA-256, compared each time; None if unknown.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        DownloadError: If the server cannot be reached, lacks the file or sends another one.
        ImportError: If filelock is not installed.
        OSError: If the disk is full.
    """
    filelock = require("filelock", extra="weights", purpose="Downloading weights")
    path = _official_path(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.with_name(f"{path.name}.lock")):
        cached = cached_from_url(url, sha256)
        if cached is not None:
            return cached
        for leftover in path.parent.glob(f".{path.name}-*"):  # of a killed process, since this one holds the lock
            shutil.rmtree(leftover, ignore_errors=True)
        with _explain_errors(url, path.parent), replacing(path) as temporary, _socket_timeout(TIMEOUT):
            keras.utils.get_file(temporary.name, origin=url, cache_dir=temporary.parent, cache_subdir="")
            _check(temporary, sha256)
    return path


def cached_from_url(url, sha256=None):
    """Finds a downloaded file in the cache, without a network.

    Args:
        url, sha256: As for `from_url`.

    Returns:
        The `pathlib.Path` of the file, or None.

    Raises:
        DownloadError: If the file has changed since its download; it is removed.
    """
    path = _official_path(url)
    if not path.exists():
        return None
    _check(path, sha256)
    return path


def is_offline():
    """Tells whether the environment variable `HF_HUB_OFFLINE` forbids huggingface_hub to use the network."""
    return _hub().constants.HF_HUB_OFFLINE


def _hub():
    for module in ("constants", "errors"):  # huggingface_hub itself imports them lazily
        require(f"huggingface_hub.{module}", extra="weights", purpose="Downloading weights from the hub")
    return require("huggingface_hub", extra="weights", purpose="Downloading weights from the hub")


def _official_path(url):
    return cache_directory("official") / url.rpartition("/")[2]


def _fetch(hub, repository, name, revision):
    """Downloads a file of the hub. If the file is missing or the hub unreachable, the hub's own error is raised."""
    with _explain_errors(f"{repository!r} on the hub", cache_directory("hub"), hub.errors.EntryNotFoundError):
        return pathlib.Path(hub.hf_hub_download(repository, name, revision=revision, cache_dir=cache_directory("hub")))


def _fetch_if_there(hub, repository, name, revision):
    try:
        _fetch(hub, repository, name, revision)
    except (hub.errors.LocalEntryNotFoundError, DownloadError) as error:
        if hub.try_to_load_from_cache(repository, name, cache_dir=cache_directory("hub"), revision=revision) is None:
            warn_caller(
                f"The file {name} of {repository!r} could not be downloaded. Whether it exists is unknown: "
                f"{_first_cause(error)}. Without the file, the model is that of the official code. Load the weights once "
                "with a network."
            )
    except hub.errors.EntryNotFoundError:  # which the cache remembers
        pass


def _check(path, sha256):
    """Removes a file whose SHA-256 does not begin with `sha256`, and raises an error; None means no check."""
    if sha256 is None:
        return
    with path.open("rb") as file:
        received = hashlib.file_digest(file, "sha256").hexdigest()
    if received.startswith(sha256):
        return
    path.resolve().unlink()
    path.unlink(missing_ok=True)  # the link, if `path` is one
    raise DownloadError(
        f"{path.name} is not the published file: its SHA-256 is {received} and should begin with {sha256}. The file was "
        "removed; the next attempt downloads it again."
    )


def _hash_of_name(path):
    """The SHA-256 that the hub's cache uses as the name of the linked file; None on file systems without links."""
    name = pathlib.Path(os.readlink(path)).name if path.is_symlink() else ""
    return name if re.fullmatch("[0-9a-f]{64}", name) else None


@contextlib.contextmanager
def _explain_errors(source, folder, unchanged=DownloadError):
    """Turns errors of the disk and the network into an OSError and a DownloadError; `unchanged` errors pass through."""
    try:
        yield
    except (DownloadError, unchanged):
        raise
    except Exception as error:  # every library has its own network errors, and Keras raises bare exceptions
        if getattr(error, "errno", None) in FULL:
            raise OSError(
                error.errno,
                f"There is not enough disk space for {source} in {folder} ({os.strerror(error.errno)}). The incomplete file "
                "was removed. The environment variable KERAS_HOME chooses another directory",
            ) from error
        raise DownloadError(f"{source}: {' '.join(str(error).split())}") from error


def _first_cause(error):
    """The message of the first error in a chain, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())


@contextlib.contextmanager
def _socket_timeout(seconds):
    """Sets the timeout of connections that set none themselves."""
    former = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(former)
