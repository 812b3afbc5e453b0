"""The images of a run: loaded, and rid of what cannot be read."""

import hashlib
import json
import os
import pathlib

from keras_deit.data import LOST, ImageFiles, Report, load, read_report, validate
from keras_deit.data.validation import kinds_at
from keras_deit.files import keras_home

MOST_NAMED = 5
NEAR = 4  # batches, before and after the one that failed, which are made ahead of the training


def load_images(settings, split):
    """Loads a part of a dataset and leaves out what the settings say.

    Args:
        settings: `Settings`.
        split: `"train"` or `"test"`.

    Returns:
        Labelled images, and a dictionary of what was left out: `images`, and their number for each of
        `keras_deit.data.KINDS`.

    Raises:
        ValueError: If more than the allowed share has to be left out.
    """
    data = load(settings.dataset, split, settings.data_dir, settings.class_names)
    if not isinstance(data, ImageFiles):
        if settings.validated:
            raise ValueError(f"`validated` is about pictures in files, and {data.name!r} has none.")
        return data, {"images": 0}
    report = _report(settings, data)
    bad = report.having(settings.skip_images)
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
    """Pictures that could be read before the training, or were not looked at, cannot be read in the midst of it."""


def check_readable(run, place):
    """Raises an `UnreadableError` with their names if training images near some place, or test images, cannot be read.

    Args:
        run: `Run`.
        place: Number of batches, from the first of the first epoch, that were trained on.
    """
    plan = run.plan
    near = range(max(0, place - NEAR), place + NEAR)
    places = {int(index) for batch in near for index in plan.views(*divmod(batch, plan.num_batches))[0]}
    bad = [_named(run.train, index) for index in sorted(places) if set(kinds_at(run.train, index)) & set(LOST)]
    bad = bad or sorted(validate(run.test).having(LOST))
    if bad:
        raise UnreadableError(
            f"Pictures of {run.train.name!r} cannot be read: {', '.join(bad[:MOST_NAMED])}. Mend them and go on with "
            "--resume: the whole epochs are kept. `keras-deit validate-data` names all of them."
        )


def _named(data, index):
    return data.paths[index] if hasattr(data, "paths") else f"number {index}"


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
