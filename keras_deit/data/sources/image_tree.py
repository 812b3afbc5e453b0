"""Which files below a folder are images: one rule for datasets and for `keras-deit predict`."""

import collections
import os
import pathlib
from typing import NamedTuple

from keras_deit.imaging.image_files import is_image_file

# Folders and files that systems and programs leave behind; names that begin with a dot are hidden as well.
SYSTEM_NAMES = (
    *("__macosx", "@eadir", "@recycle", "@tmp", "#recycle", "$recycle.bin", "system volume information", "lost+found"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini"),
)
NO_EXTENSION, BROKEN_LINK = "without an extension", "broken links"


class Entries(NamedTuple):
    """The visible entries of a folder, each a list of `pathlib.Path` sorted by name.

    Attributes:
        folders: Folders, and links to folders other than to the folder itself or to one that contains it.
        files: Files, and links to files.
        broken: Links to nothing.
    """

    folders: list
    files: list
    broken: list


class FoundImages(NamedTuple):
    """The images below a folder.

    Attributes:
        images: List of `pathlib.Path`, sorted.
        ignored: `collections.Counter` of the other visible files by their extension, such as `{".txt": 2}`.
    """

    images: list
    ignored: collections.Counter


def is_hidden(name):
    """Tells whether a file or folder of this name is skipped: hidden, or left behind by a system.

    Example:

    >>> [is_hidden(name) for name in (".ipynb_checkpoints", "__MACOSX", "._1.jpg", "cat")]
    [True, True, True, False]
    """
    return name.startswith(".") or name.casefold() in SYSTEM_NAMES


def list_folder(folder):
    """Lists the visible entries of a folder.

    Args:
        folder: `pathlib.Path`.

    Returns:
        `Entries`.

    Raises:
        ValueError: If the folder cannot be read.
    """
    entries = Entries([], [], [])
    try:
        containing = _identities(folder)
        with os.scandir(folder) as scanned:
            for entry in sorted(scanned, key=lambda entry: entry.name):
                path = folder / entry.name
                if is_hidden(entry.name):
                    continue
                if entry.is_dir():
                    if not (entry.is_symlink() and _identity(path) in containing):
                        entries.folders.append(path)
                else:
                    (entries.files if entry.is_file() else entries.broken).append(path)
    except OSError as error:
        raise ValueError(
            f"The folder {str(folder)!r} cannot be read: {error.strerror}. Change its permissions, or move it out of the "
            "dataset."
        ) from error
    return entries


def find_images(folder):
    """Finds the images below a folder, at any depth.

    Hidden names and those of systems are skipped. Links are followed, each folder once.

    Args:
        folder: `pathlib.Path`.

    Returns:
        `FoundImages`.

    Raises:
        ValueError: If a folder cannot be read.
    """
    images, ignored = [], collections.Counter()
    for path, kind in _walk(folder):
        if kind is None:
            images.append(path)
        else:
            ignored[kind] += 1
    return FoundImages(sorted(images), ignored)


def has_image(folder):
    """Tells whether there is an image below a folder; see `find_images`."""
    return any(kind is None for _, kind in _walk(folder))


def describe_ignored(ignored):
    """Describes files that are no images.

    Args:
        ignored: Counter as in `FoundImages`.

    Returns:
        A phrase, such as `"3 .txt, 1 .xml"`.

    Example:

    >>> describe_ignored({".xml": 1, ".txt": 3})
    '3 .txt, 1 .xml'
    """
    most_first = sorted(ignored.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number:,} {kind}" for kind, number in most_first)


def _walk(folder):
    """Yields pairs `(path, kind)` of all visible files; the kind is None for an image, else a key of `ignored`."""
    visited, waiting = _identities(folder), [folder]
    while waiting:
        entries = list_folder(waiting.pop())
        for path in entries.files:
            yield path, None if is_image_file(path) else path.suffix.lower() or NO_EXTENSION
        for path in entries.broken:
            yield path, BROKEN_LINK
        for path in sorted(entries.folders, key=pathlib.Path.is_symlink):  # a folder before links to it
            if _identity(path) not in visited:
                visited.add(_identity(path))
                waiting.append(path)


def _identities(folder):
    """Identities of a folder and of all folders that contain it, or what it links to."""
    absolute, resolved = pathlib.Path(os.path.abspath(folder)), folder.resolve()
    return {_identity(path) for path in (absolute, *absolute.parents, resolved, *resolved.parents)}


def _identity(path):
    status = path.stat()
    return status.st_dev, status.st_ino
