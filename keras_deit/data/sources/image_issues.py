"""Finding the images of a dataset that cannot be read, or are not what they seem."""

import collections
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import threading
import warnings

import numpy as np

from keras_deit.choices import BIT_DEPTHS, FATAL_ISSUES, IMAGE_ISSUES
from keras_deit.data.sources.classes import count_labels
from keras_deit.data.sources.labelled_images import check_labels
from keras_deit.imaging.image_files import UNKNOWN_FORMAT, open_image, read_image, used_bits
from keras_deit.imaging.sixteen_bits import holds_16_bits
from keras_deit.runtime.cores import usable_cores
from keras_deit.runtime.files import user_path, write_whole
from keras_deit.runtime.optional import require
from keras_deit.runtime.progress_bar import progress_bar

SAME_EXTENSION = {
    "MPO": "JPEG"
}  # cameras store a preview or the view of the other eye behind the photograph in a .jpg file
TINY = 32  # pixels
CHUNK = 1024  # examples that are handed to the threads together


@dataclasses.dataclass(frozen=True)
class ValidationReport:
    """The issues that were found in a dataset.

    Attributes:
        dataset: Name of the dataset.
        checked: Number of images that were read.
        problems: Dictionary from the key of an image (see `example_key`) to a list of `IMAGE_ISSUES`.
        unlabelled: List of the keys of the images without a label.
        class_counts: List of the numbers of readable images of each class, and at the end of unlabelled images; empty in a
            report on several splits.
        reasons: Dictionary from the keys of unreadable images to the reason, or None if the format is not known.
        used_bits: Dictionary from the keys of images with `unused-bits` to the number of bits that they use.
        equal: List of groups of equal images that are in several splits or have several labels; a group is a list of keys.
    """

    dataset: str
    checked: int
    problems: dict
    unlabelled: list = dataclasses.field(default_factory=list)
    class_counts: list = dataclasses.field(default_factory=list)
    equal: list = dataclasses.field(default_factory=list)
    reasons: dict = dataclasses.field(default_factory=dict)
    used_bits: dict = dataclasses.field(default_factory=dict)

    def counts(self):
        """Counts the images of each issue that was found."""
        return dict(collections.Counter(issue for issues in self.problems.values() for issue in issues))

    def joined(self, others):
        """Joins this report with the reports of other splits of the dataset."""
        problems, reasons, used = dict(self.problems), dict(self.reasons), dict(self.used_bits)
        for other in others:
            problems |= other.problems
            reasons |= other.reasons
            used |= other.used_bits
        checked = self.checked + sum(other.checked for other in others)
        unlabelled = sum((other.unlabelled for other in others), self.unlabelled)
        return ValidationReport(self.dataset, checked, problems, unlabelled, reasons=reasons, used_bits=used)

    def details(self, key):
        """Why an image cannot be read, or how few bits it uses, in parentheses for the end of a line; otherwise empty."""
        if key in self.used_bits:
            return f" (values up to {2 ** self.used_bits[key] - 1} of 65535)"
        return f" ({self.reasons[key]})" if self.reasons.get(key) else ""

    def advice(self):
        """Says what to do about images that come out almost black or in a single colour.

        Returns:
            List of at most two sentences: on images with `unused-bits`, and on those that are `alpha-only`.
        """
        sentences = []
        if self.used_bits:
            bits = max(BIT_DEPTHS[0], *self.used_bits.values())
            sentences.append(
                f"{len(self.used_bits)} images of {self.dataset!r} hold 16 bits, use {bits} or fewer, and come out almost "
                f"black. If {bits} bits are their whole range, pass --bit-depth {bits}."
            )
        transparent = self.counts().get("alpha-only")
        if transparent:
            sentences.append(
                f"{transparent} images of {self.dataset!r} have a single colour, because their pixels differ "
                "only in transparency, which is dropped. Put them on a background of another colour."
            )
        return sentences

    def having(self, issues):
        """Returns the set of the keys of the images that have one of the given issues."""
        return {key for key, found in self.problems.items() if set(found) & set(issues)}

    def write(self, path):
        """Writes the report as JSON; the file is written whole or not at all."""
        write_whole(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")


def read_report(path):
    """Reads a report that `ValidationReport.write` wrote.

    Args:
        path: Path of the file.

    Returns:
        A `ValidationReport`.

    Raises:
        ValueError: If the file is not such a report.
    """
    try:
        values = json.loads(user_path(path).read_text(encoding="utf-8"))
        report = ValidationReport(**values)
        unknown = {issue for issues in report.problems.values() for issue in issues} - set(IMAGE_ISSUES)
        if unknown:
            raise ValueError(f"it names the unknown issue {sorted(unknown)[0]!r}")
    except (OSError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{str(path)!r} is not a report of `keras-deit validate-data`: {error}") from error
    return report


def validate(data, num_threads=None, progress=True):
    """Reads every image and every label of a dataset, on several threads.

    Args:
        data: `LabelledImages`.
        num_threads: Number of threads; None means one for every core.
        progress: Whether to show a progress bar.

    Returns:
        A `ValidationReport`.

    Raises:
        ValueError: If a label is not a class index.

    Example:

    >>> from keras_deit import data
    >>> validate(data.load("digits", "test"), progress=False).counts()
    {'tiny': 364}
    """
    problems, reasons, bits, unlabelled, labels = {}, {}, {}, [], []
    with (
        warnings.catch_warnings(),
        progress_bar(len(data), f"reading {data.name}", "images", shown=progress) as bar,
        concurrent.futures.ThreadPoolExecutor(num_threads or usable_cores()) as pool,
    ):
        warnings.simplefilter("ignore")  # Pillow warns of oddities that it reads all the same
        for start in range(0, len(data), CHUNK):
            indices = range(start, min(start + CHUNK, len(data)))
            found = pool.map(lambda index: check_example(data, index), indices)
            for index, (issues, label) in zip(indices, found, strict=True):
                if label == -1:
                    unlabelled.append(example_key(data, index))
                if issues:
                    problems[example_key(data, index)] = issues
                if "unused-bits" in issues:
                    bits[example_key(data, index)] = used_bits(data[index][0])
                if not set(issues) & set(FATAL_ISSUES):
                    labels.append(label)
                if "unreadable" in issues:
                    reasons[example_key(data, index)] = _reason(data, index)
                bar.update()
    counts = count_labels(labels, data.num_classes).tolist()
    return ValidationReport(data.name, len(data), problems, unlabelled, counts, reasons=reasons, used_bits=bits)


def example_key(data, index):
    """Returns the key of an example in a report: the absolute path of its file, or its index as a string."""
    return os.path.abspath(data.paths[index]) if data.paths else str(index)


def check_example(data, index):
    """Reads an example of a dataset and looks for issues.

    Args:
        data: `LabelledImages`.
        index: Index of the example.

    Returns:
        A pair: the list of `IMAGE_ISSUES` of the image, and its label (0 if the example cannot be read).

    Raises:
        ValueError: If the label is not a class index.
    """
    try:
        image, label = data[index]
    except (OSError, ValueError):
        return ["unreadable"], 0
    check_labels(data.name, [label], data.num_classes)
    if isinstance(image, np.ndarray):
        return (["tiny"] if min(image.shape[:2]) < TINY else []), int(label)
    extension = pathlib.Path(data.paths[index]).suffix if data.paths else None
    return image_issues(image, extension, data.bit_depth), int(label)


def image_issues(content, extension=None, bit_depth=None):
    """Looks for issues of an image file.

    Args:
        content: Content of the file, bytes.
        extension: Extension of its name, such as `".jpg"`; None if the image has no file name.
        bit_depth: Number of bits that the pixels use in files of 16 bits that do not state it; None if it is not known.

    Returns:
        List of `IMAGE_ISSUES`, empty for a sound image.

    Example:

    >>> image_issues(b"not an image")
    ['unreadable']
    """
    pillow = require("PIL.Image", extra="weights", purpose="Reading an image")
    try:
        with open_image(content) as image:
            issues = _issues_of_opened(pillow, image, extension)
            has_transparency = image.mode.endswith(("A", "a")) or "transparency" in image.info
        with _STRICT_DECODING:
            pixels = read_image(content, bit_depth)
        if has_transparency and _is_flat(pixels) and _varies_in_alpha(content):
            issues.append("alpha-only")
        if bit_depth is None and "16-bit" in issues and used_bits(content) is not None:
            issues.insert(issues.index("16-bit") + 1, "unused-bits")
    except Exception as error:  # Pillow's plugins raise exceptions of any type for damaged files
        return ["truncated" if "truncated" in str(error) else "unreadable"]
    return issues


def _is_flat(pixels):
    return bool((pixels == pixels[:1, :1]).all())


def _varies_in_alpha(content):
    """Whether the transparency of an image file varies."""
    with open_image(content) as image:
        lowest, highest = image.convert("RGBA").getchannel("A").getextrema()
    return lowest != highest


class _StrictDecoding:
    """Context in which Pillow refuses truncated files, whatever the program has set; for several threads at once."""

    def __init__(self):
        self._lock = threading.Lock()
        self._users = 0
        self._of_program = False

    def __enter__(self):
        pillow_files = require("PIL.ImageFile", extra="weights", purpose="Reading an image")
        with self._lock:
            if not self._users:
                self._of_program = pillow_files.LOAD_TRUNCATED_IMAGES
                pillow_files.LOAD_TRUNCATED_IMAGES = False
            self._users += 1

    def __exit__(self, *error):
        pillow_files = require("PIL.ImageFile", extra="weights", purpose="Reading an image")
        with self._lock:
            self._users -= 1
            if not self._users:
                pillow_files.LOAD_TRUNCATED_IMAGES = self._of_program


_STRICT_DECODING = _StrictDecoding()


def _reason(data, index):
    """Why an example cannot be read; None if its format is not known or the file cannot be opened."""
    try:
        image, _ = data[index]
        with _STRICT_DECODING:
            read_image(image, data.bit_depth)
    except OSError:
        return None
    except ValueError as error:
        reason = str(error.__cause__ or error)
        return None if reason == UNKNOWN_FORMAT else reason
    return None


def _issues_of_opened(pillow, image, extension):
    named_format = pillow.registered_extensions().get(extension.lower()) if extension else None
    found = {
        "wrong-extension": named_format not in (None, SAME_EXTENSION.get(image.format, image.format)),
        "tiny": min(image.size) < TINY,
        "cmyk": image.mode in ("CMYK", "YCCK"),
        "16-bit": holds_16_bits(image) or image.mode.startswith(("I", "F")),
        "animated": getattr(image, "n_frames", 1) > 1 and image.format not in SAME_EXTENSION,
    }
    return [issue for issue, is_found in found.items() if is_found]
