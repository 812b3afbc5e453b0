"""The images of a run: loaded, and rid of what cannot be read."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib

import numpy as np

from keras_deit.data import FATAL_ISSUES, ImageFiles, Report, load, read_report, validate
from keras_deit.runtime.files import keras_home

MOST_NAMED, MOST_CHARACTERS = 5, 200


def load_images(settings, split):
    """Loads a part of a dataset and leaves out what the settings say.

    Args:
        settings: `Settings`.
        split: `"train"` or `"test"`.

    Returns:
        Labelled images, and a dictionary of what was left out: `images`, and their number for each of
        `keras_deit.data.IMAGE_ISSUES`.

    Raises:
        ValueError: If more than the allowed share has to be left out.
    """
    data = load(settings.dataset, split, settings.data_dir, settings.class_names)
    if not isinstance(data, ImageFiles):
        if settings.validated:
            raise ValueError(f"`validated` is about pictures in files, and {data.name!r} has none.")
        return data, {"images": 0}
    report = _report(settings, data)
    bad = report.having({*FATAL_ISSUES, *settings.skip_images})
    left_out = {path for path in data.paths if os.path.abspath(path) in bad}
    kinds = {path: report.problems[os.path.abspath(path)] for path in left_out}
    named = "\n".join(f"  {', '.join(kinds[path])}: {path}" for path in sorted(left_out)[:MOST_NAMED])
    share = len(left_out) / len(data)
    if share > settings.max_skipped:
        raise ValueError(
            f"{len(left_out)} of the {len(data)} pictures of {data.name!r} ({split}) cannot be used, more than "
            f"--max-skipped {settings.max_skipped:g}:\n{named}\n`keras-deit validate-data "
            f"{settings.dataset}` names all of them."
        )
    if left_out:
        more = f"\n  and {len(left_out) - MOST_NAMED} more" if len(left_out) > MOST_NAMED else ""
        print(f"{len(left_out)} of the {len(data)} pictures of {data.name!r} ({split}) are left out:\n{named}{more}")
    return data.without(left_out), {"images": len(left_out), **Report(data.name, len(data), kinds).counts()}


class UnreadableError(ValueError):
    """Pictures that could be read before, or were not looked at, cannot be read in the midst of a run."""


@contextlib.contextmanager
def explain_unreadable_images(suspects):
    """Makes an exception within it say which picture is to blame, where one is: no pipeline does so by itself.

    Args:
        suspects: Function that gives pairs of labelled images and the indices of those that may be at fault; None means
            all.

    Raises:
        UnreadableError: In the place of an exception, if there are such pictures in files.
    """
    try:
        yield
    except Exception as error:
        name, bad = _first_unreadable(suspects)
        if not bad:
            raise
        raise UnreadableError(
            f"Pictures of {name!r} cannot be read: {', '.join(bad[:MOST_NAMED])}. Put good ones in their places; a run that "
            "had begun goes on with --resume. `keras-deit validate-data` names all of them. (It ended with "
            f"{type(error).__name__}: {str(error)[:MOST_CHARACTERS]})"
        ) from error


def _first_unreadable(suspects):
    try:
        for data, indices in suspects():
            if bad := _unreadable(data, indices):
                return data.name, bad
    except Exception:  # a fault of the search must not stand in the place of what is looked into
        return None, []
    return None, []


def _unreadable(data, indices):
    if not isinstance(data, ImageFiles):
        return []
    chosen = np.arange(len(data)) if indices is None else np.unique(indices)
    some = dataclasses.replace(data, paths=tuple(data.paths[index] for index in chosen), labels=data.labels[chosen])
    return sorted(validate(some, progress=indices is None).having(FATAL_ISSUES))


def _report(settings, data):
    if settings.validated:
        report = read_report(settings.validated)
        if report.dataset != data.name:
            raise ValueError(f"{settings.validated!r} is the report of {report.dataset!r}, not of {data.name!r}.")
        if report.problems and not any(map(os.path.exists, report.problems)):
            raise ValueError(f"{settings.validated!r} names pictures that are not there. Validate {data.name!r} anew.")
        return report
    if not settings.check_images:
        return Report(data.name, 0, {})
    kept = keras_home() / "keras_deit" / "validated" / f"{_fingerprint(data)}.json"
    if kept.exists():
        return read_report(kept)
    report = validate(data)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        report.write(kept)
    except OSError:
        pass  # a home that cannot be written to costs the next run the time of reading the pictures again
    return report


def _fingerprint(data):
    """Of paths, sizes and times: what has changed is read again."""
    digest = hashlib.sha256()
    for path in data.paths:
        try:
            status = pathlib.Path(path).stat()
        except OSError:
            status = None
        facts = [str(pathlib.Path(path).absolute()), status and status.st_size, status and status.st_mtime_ns]
        digest.update(json.dumps(facts).encode())
    return digest.hexdigest()[:32]
