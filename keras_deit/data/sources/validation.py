"""Finding the pictures of a dataset that cannot be read, or are not what they seem."""

import collections
import concurrent.futures
import dataclasses
import io
import json
import os
import pathlib
import warnings

import numpy as np

from keras_deit.imaging.image_files import read_image
from keras_deit.runtime.cores import usable_cores
from keras_deit.runtime.files import write_whole
from keras_deit.runtime.optional import require

IMAGE_ISSUES = {
    "unreadable": "no picture that Pillow knows, or a damaged one",
    "truncated": "the file ends before the picture does",
    "mislabelled": "its ending names another format than it has",
    "tiny": "a side of fewer than 32 pixels",
    "cmyk": "colours for printing; they are converted to RGB",
    "16-bit": "more than eight bits a channel; they are scaled to eight",
    "animated": "several frames, of which the first is taken",
}
FATAL_ISSUES = ("unreadable", "truncated")  # what training cannot use, whatever it is told
TINY = 32
AT_ONCE = 1024  # files that are handed to the threads


@dataclasses.dataclass(frozen=True)
class Report:
    """What a walk through a dataset found.

    Attributes:
        dataset: Name of the dataset.
        checked: Number of pictures.
        problems: Dictionary from the absolute path of a picture (its number, where it has none) to a list of `IMAGE_ISSUES`.
    """

    dataset: str
    checked: int
    problems: dict

    def counts(self):
        """Number of pictures of each kind that was found."""
        return dict(collections.Counter(kind for kinds in self.problems.values() for kind in kinds))

    def joined(self, others):
        """One report of this and of other parts of the dataset."""
        problems = dict(self.problems)
        for other in others:
            problems |= other.problems
        return Report(self.dataset, self.checked + sum(other.checked for other in others), problems)

    def having(self, kinds):
        """Set of the paths with a problem of the given kinds."""
        return {path for path, found in self.problems.items() if set(found) & set(kinds)}

    def write(self, path):
        """Writes the report as JSON; the file appears whole or not at all."""
        write_whole(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")


def read_report(path):
    """Reads what `Report.write` wrote.

    Args:
        path: Path of the file.

    Returns:
        A `Report`.

    Raises:
        ValueError: If it is no such file.
    """
    try:
        values = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        report = Report(**values)
        unknown = {kind for kinds in report.problems.values() for kind in kinds} - set(IMAGE_ISSUES)
        if unknown:
            raise ValueError(f"it names the unknown kind {sorted(unknown)[0]!r}")
    except (OSError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{str(path)!r} is no report of `keras-deit validate-data`: {error}") from error
    return report


def validate(data, num_threads=None, progress=True):
    """Reads every picture of a dataset, whole, on several threads.

    Args:
        data: Labelled images, see `keras_deit.data.load`.
        num_threads: Number of threads; None means one for every core.
        progress: Whether to show a progress bar.

    Returns:
        A `Report`.

    Example:

    >>> from keras_deit import data
    >>> validate(data.load("digits", "test"), progress=False).counts()
    {'tiny': 364}
    """
    tqdm = require("tqdm", extra="run", purpose="The progress bar")
    problems = {}
    with (
        warnings.catch_warnings(),
        tqdm.tqdm(total=len(data), desc=f"reading {data.name}", unit="picture", disable=not progress) as bar,
        concurrent.futures.ThreadPoolExecutor(num_threads or usable_cores()) as pool,
    ):
        warnings.simplefilter("ignore")  # about what Pillow finds odd and reads
        for start in range(0, len(data), AT_ONCE):
            places = range(start, min(start + AT_ONCE, len(data)))
            for place, kinds in zip(places, pool.map(lambda place: kinds_at(data, place), places), strict=True):
                if kinds:
                    problems[os.path.abspath(data.paths[place]) if hasattr(data, "paths") else str(place)] = kinds
                bar.update()
    return Report(data.name, len(data), problems)


def kinds_at(data, place):
    """What is the matter with a picture of a dataset, given by its number: a list of `IMAGE_ISSUES`."""
    try:
        content, _ = data[place]
    except OSError:
        return ["unreadable"]
    if isinstance(content, np.ndarray):
        return ["tiny"] if min(content.shape[:2]) < TINY else []
    return kinds_of(content, pathlib.Path(data.paths[place]).suffix if hasattr(data, "paths") else None)


def kinds_of(content, ending=None):
    """What is the matter with a picture.

    Args:
        content: Content of its file, bytes.
        ending: The ending of the file's name, such as `".jpg"`; None if it has none.

    Returns:
        List of `IMAGE_ISSUES`, empty for a good one.

    Example:

    >>> kinds_of(b"no picture")
    ['unreadable']
    """
    images = require("PIL.Image", extra="weights", purpose="Reading a picture")
    try:
        with images.open(io.BytesIO(content)) as picture:
            kinds = _kinds_of_opened(images, picture, ending)
        read_image(content)
    except Exception as error:  # Pillow's plugins raise whatever comes up on damaged files
        return ["truncated" if "truncated" in str(error) else "unreadable"]
    return kinds


def _kinds_of_opened(images, picture, ending):
    found = {
        "mislabelled": ending is not None and images.registered_extensions().get(ending.lower()) != picture.format,
        "tiny": min(picture.size) < TINY,
        "cmyk": picture.mode in ("CMYK", "YCCK"),
        "16-bit": picture.mode.startswith(("I", "F")),
        "animated": getattr(picture, "n_frames", 1) > 1,
    }
    return [kind for kind, is_found in found.items() if is_found]
