"""The images of a run: loaded, without those that cannot be read."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re

import numpy as np

from keras_deit.choices import FATAL_ISSUES, IMAGE_ISSUES
from keras_deit.data import LabelledImages, load, validate
from keras_deit.data.augment.tensorflow_transform import refuses_jpeg
from keras_deit.data.pipeline.teacher_cache import DamagedCacheError
from keras_deit.data.sources.classes import count_labels
from keras_deit.data.sources.equal_images import (
    describe_equal_images,
    find_equal_images,
    groups_of_keys,
    keys_of_groups,
)
from keras_deit.data.sources.image_issues import ValidationReport, example_key, read_report
from keras_deit.imaging.image_files import reading_environment
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.files import cache_directory
from keras_deit.runtime.shorten import shorten
from keras_deit.training.divergence import DivergedError

MAX_NAMED, MAX_CHARACTERS = 5, 200
WRAPPED_VALUE_ERROR = r"ValueError: (.*?)\nTraceback \(most recent call last\)"  # in an error of `tf.numpy_function`


@dataclasses.dataclass(frozen=True)
class LoadedImages:
    """A split of a dataset without its unusable images.

    Attributes:
        data: `LabelledImages`.
        skipped: Dictionary of the number of images that were left out: `images`, and the number for each of
            `keras_deit.choices.IMAGE_ISSUES`.
        class_counts: Integer array of the number of images of each class, and at the end of the unlabelled images; None if
            the labels are not known without reading the images.
    """

    data: LabelledImages
    skipped: dict
    class_counts: np.ndarray | None

    @property
    def num_unlabelled(self):
        """Number of images without a label; None if the labels are not known."""
        return None if self.class_counts is None else int(self.class_counts[-1])


def load_images(settings, split):
    """Loads a split of a dataset and leaves out the unusable images.

    Args:
        settings: `Settings`.
        split: `"train"` or `"test"`.

    Returns:
        `LoadedImages`.

    Raises:
        ValueError: If a larger fraction of the images is unusable than the settings allow.
    """
    data = load(
        settings.dataset,
        split,
        settings.data_dir,
        settings.class_names,
        train_folder=settings.train_folder,
        test_folder=settings.test_folder,
        test_split=settings.test_split,
        bit_depth=settings.bit_depth,
    )
    if settings.validated and data.paths is None:  # a report names files; indices would not tell the splits apart
        raise ValueError(f"`validated` is for datasets of image files. Received: the dataset {data.name!r}")
    if data.in_memory:
        return LoadedImages(data, {"images": 0}, count_labels(data.labels, data.num_classes))
    report = _report(settings, data, split)
    bad = report.having({*FATAL_ISSUES, *settings.skip_images})
    skipped = [index for index in range(len(data)) if example_key(data, index) in bad] if bad else []
    if skipped:
        _say_or_refuse(settings, split, data, report, skipped)
    for sentence in report.advice():
        print(sentence)
    issues = {index: report.problems[example_key(data, index)] for index in skipped}
    counts = {"images": len(skipped), **ValidationReport(data.name, len(data), issues).counts()}
    usable = data.select(np.delete(np.arange(len(data)), skipped)) if skipped else data
    if data.labels is not None:
        return LoadedImages(usable, counts, count_labels(usable.labels, data.num_classes))
    return LoadedImages(usable, counts, _counts_of_report(report, data, skipped))


def _counts_of_report(report, data, skipped):
    """The images of each class that are left, of a dataset whose labels are known by the report alone."""
    if not report.class_counts:  # the images were not read
        return None
    fatal = report.having(FATAL_ISSUES)
    labels = [data[index][1] for index in skipped if example_key(data, index) not in fatal]
    return np.array(report.class_counts) - count_labels(labels, data.num_classes)


def warn_of_equal_images(settings, splits):
    """Warns of equal images in both splits or with several labels.

    Args:
        settings: `Settings`.
        splits: Dictionary from the names of the splits to their `LabelledImages`.
    """
    if not settings.check_images:
        return
    for line in describe_equal_images(_equal_images(settings, splits), splits):
        warn_caller(f"{line} `keras-deit validate-data {settings.dataset}` lists them.")


class UnreadableError(ValueError):
    """Images cannot be read during a run, although they could be read before or were not checked."""


@contextlib.contextmanager
def explain_unreadable_images(suspects):
    """Turns an exception into an error that names the unreadable images, if there are any: no pipeline names them itself.

    A ValueError that TensorFlow has wrapped, such as that about a label, is raised as it was.

    Args:
        suspects: Function that returns pairs `(data, indices)`: `LabelledImages`, and the indices of the images that may
            have caused the exception; None means all.

    Raises:
        UnreadableError: Instead of the exception, if one of the images cannot be read.
        ValueError: Instead of an exception of TensorFlow that holds one.
    """
    try:
        yield
    except (DivergedError, DamagedCacheError):  # which explain themselves
        raise
    except Exception as error:
        is_of_tensorflow = type(error).__module__.startswith("tensorflow.")
        name, unreadable = _find_unreadable(suspects, refuses_jpeg if is_of_tensorflow else None)
        if not unreadable:
            wrapped = re.search(WRAPPED_VALUE_ERROR, str(error), re.DOTALL) if is_of_tensorflow else None
            if wrapped is None:
                raise
            raise ValueError(wrapped[1]) from error
        raise UnreadableError(
            f"Images of {name!r} cannot be read: {shorten(unreadable, MAX_NAMED)}. Restore the files; a run that had "
            "begun continues with --resume, or, with other images in their place, with --resume --accept-changes. "
            "`keras-deit validate-data` lists all unreadable images. (The run ended with "
            f"{type(error).__name__}: {str(error)[:MAX_CHARACTERS]})"
        ) from error


def _find_unreadable(suspects, is_refused):
    """Name of the first dataset with unreadable images, and the sorted descriptions of those images.

    `is_refused` tells of the content of a file whether another decoder than Pillow refuses it; None if there is no other.
    """
    try:
        for data, indices in suspects():
            unreadable = _unreadable(data, indices) or _refused(data, indices, is_refused)
            if unreadable:
                return data.name, unreadable
    except Exception:  # an error of this search must not hide the exception that is explained
        return None, []
    return None, []


def _unreadable(data, indices):
    if data.in_memory:
        return []
    chosen = data if indices is None else data.select(np.unique(indices))
    bad = validate(chosen, progress=indices is None).having(FATAL_ISSUES)
    return sorted(chosen.describe(index) for index in range(len(chosen)) if example_key(chosen, index) in bad)


def _refused(data, indices, is_refused):
    if data.in_memory or is_refused is None:
        return []
    indices = range(len(data)) if indices is None else np.unique(indices)
    contents = ((index, data[index][0]) for index in indices)
    return [data.describe(index) for index, content in contents if isinstance(content, bytes) and is_refused(content)]


def _say_or_refuse(settings, split, data, report, skipped):
    """Prints the images that are left out, or raises an error if they are too many."""
    keys = {index: example_key(data, index) for index in skipped}
    lines = sorted(
        f"{data.describe(index)}: {', '.join(report.problems[key])}{report.details(key)}" for index, key in keys.items()
    )
    named = "\n".join(f"  {line}" for line in lines[:MAX_NAMED])
    if len(skipped) / len(data) > settings.max_skipped:
        raise ValueError(
            f"{len(skipped)} of the {len(data)} images of {data.name!r} ({split}) cannot be used, a larger fraction than "
            f"--max-skipped {settings.max_skipped:g}:\n{named}\n`keras-deit validate-data {settings.dataset}` lists all of "
            "them."
        )
    more = f"\n  and {len(skipped) - MAX_NAMED} more" if len(skipped) > MAX_NAMED else ""
    print(f"{len(skipped)} of the {len(data)} images of {data.name!r} ({split}) are left out:\n{named}{more}")


def _report(settings, data, split):
    """The report that the settings name, the report of an earlier run on the same images, or a new one."""
    if settings.validated:
        return _given_report(settings, data)
    if not settings.check_images:
        return ValidationReport(data.name, 0, {})
    return _kept_report(_fingerprint(data), lambda: validate(data))


def _kept_report(fingerprint, make):
    """The report of an earlier run on images of the same fingerprint, or a new one, which is kept."""
    if fingerprint is None:
        return make()
    kept = cache_directory("validated") / f"{fingerprint}.json"
    with contextlib.suppress(OSError, ValueError):  # a missing or damaged report is made again
        return read_report(kept)
    report = make()
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        report.write(kept)
    except OSError:
        pass  # without a writable home, the next run reads the images again
    return report


def _equal_images(settings, splits):
    """Groups of equal images as `find_equal_images` returns them."""
    if settings.validated:
        return groups_of_keys(_given_report(settings, splits["train"]).equal, splits)
    report = _kept_report(_fingerprint_of_equal(splits), lambda: _report_of_equal(splits))
    return groups_of_keys(report.equal, splits)


def _fingerprint_of_equal(splits):
    """Digest that changes with images or labels; None if that is not known without reading them, or they are in memory."""
    fingerprints = list(map(_fingerprint, splits.values()))
    if None in fingerprints:
        return None
    known = [data.labels for data in splits.values() if data.labels is not None]
    labels = hashlib.sha256(b"".join(np.asarray(of_split, "<i8").tobytes() for of_split in known))
    digests = [*(data.content_digest() for data in splits.values()), labels.hexdigest()]
    return "-".join([*fingerprints, *(digest[:8] for digest in digests)])


def _report_of_equal(splits):
    return ValidationReport(splits["train"].name, 0, {}, equal=keys_of_groups(find_equal_images(splits), splits))


def _given_report(settings, data):
    report = read_report(settings.validated)
    if report.dataset != data.name:
        raise ValueError(
            f"The report {settings.validated!r} is about the dataset {report.dataset!r}. Received: the dataset {data.name!r}"
        )
    if report.problems and not any(map(os.path.exists, report.problems)):
        raise ValueError(
            f"The report {settings.validated!r} names image files that do not exist. Run `keras-deit validate-data` again."
        )
    return report


def _fingerprint(data):
    """Digest that changes with the images: of paths, sizes and times of files, or of the identity of records; or None.

    It also changes with the issues that are looked for and with what decides whether an image can be read.
    """
    digest = hashlib.sha256(repr((list(IMAGE_ISSUES), data.bit_depth, reading_environment())).encode())
    if data.paths is None:
        digest.update((data.identity or "").encode())
        return data.identity and digest.hexdigest()[:32]
    for path in data.paths:
        try:
            status = pathlib.Path(path).stat()
        except OSError:
            status = None
        facts = [str(pathlib.Path(path).absolute()), status and status.st_size, status and status.st_mtime_ns]
        digest.update(json.dumps(facts).encode())
    return digest.hexdigest()[:32]
