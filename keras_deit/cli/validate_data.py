"""`keras-deit validate-data`: finds the images of a dataset that cannot be read, or are not what they seem."""

import dataclasses

from keras_deit.choices import FATAL_ISSUES, IMAGE_ISSUES, SPLITS
from keras_deit.cli.common import reporting
from keras_deit.cli.parsers import DATASET_SETTINGS
from keras_deit.data.sources.classes import check_trained, describe_classes
from keras_deit.data.sources.equal_images import (
    describe_equal_images,
    describe_example,
    find_equal_images,
    keys_of_groups,
)
from keras_deit.data.sources.image_issues import validate
from keras_deit.data.sources.load import load
from keras_deit.runtime.files import user_path
from keras_deit.runtime.numpy_numbers import check_at_least
from keras_deit.training.settings import decode_value

MAX_LISTED = 20  # excluded images of a split, and groups of equal images, that are printed one by one


@reporting
def main(options):
    """Runs the command.

    Args:
        options: Namespace of its parser in `keras_deit.cli.parsers`.

    Returns:
        The exit status: 0; 1 if an image cannot be read; 2 for bad input; 130 after Ctrl-C.
    """
    if options.num_workers is not None:
        check_at_least(0, num_workers=options.num_workers)
    if options.output and user_path(options.output).is_dir():
        raise ValueError(
            f"`output` must be a file, and there is a folder of that name. Received: output={options.output!r}"
        )
    splits = SPLITS if options.split == "both" else [options.split]
    data = {split: _load(options, split) for split in splits}
    reports = {split: _validate_split(options, split, data[split]) for split in splits}
    if any(report.problems for report in reports.values()):
        print(
            f"Training excludes images that are {' or '.join(FATAL_ISSUES)}, and uses images with other issues, unless "
            "--skip-images names the issue."
        )
    counts = {split: report.class_counts for split, report in reports.items()}
    print(describe_classes(data, counts))
    first, *others = reports.values()
    report = dataclasses.replace(first.joined(others), equal=_list_equal_images(data))
    if options.output:
        report.write(options.output)
        print(f"Report: {options.output} (for keras-deit train --validated)")
    if options.split == "both":
        check_trained(report.dataset, data["train"].class_names, counts)
    return 1 if any(of_split.having(FATAL_ISSUES) for of_split in reports.values()) else 0


def _load(options, split):
    given = {name: decode_value(name, getattr(options, name)) for name in DATASET_SETTINGS}
    return load(options.dataset, split, **given)


def _validate_split(options, split, data):
    report = validate(data, options.num_workers)
    excluded = sorted(report.having(FATAL_ISSUES))
    result = f"{len(excluded):,} excluded" if report.problems else "no issues"
    print(f"{data.name} ({split}): {report.checked:,} images of {data.num_classes} classes; {result}")
    for key in excluded[:MAX_LISTED]:
        print(f"  excluded, {report.problems[key][0]}: {_name(data, report, key)}")
    if len(excluded) > MAX_LISTED:
        print(f"  and {len(excluded) - MAX_LISTED:,} more; --output FILE.json lists all")
    for issue in [issue for issue in IMAGE_ISSUES if issue not in FATAL_ISSUES]:
        used = report.having([issue])
        if used:
            number = f"{len(used):,} image{'' if len(used) == 1 else 's'}"
            print(f"  used, {issue}: {number} ({IMAGE_ISSUES[issue]}), for example {_name(data, report, min(used))}")
    for sentence in report.advice():
        print(sentence)
    return report


def _name(data, report, key):
    """Names an image of a report, with the details of its issues."""
    return f"{key if data.paths else f'image {key}'}{report.details(key)}"


def _list_equal_images(splits):
    """Prints groups of equal images; returns the keys of all groups."""
    groups = find_equal_images(splits)
    for group in groups[:MAX_LISTED]:
        print(f"equal: {', '.join(describe_example(splits[split], split, index) for split, index in group)}")
    if len(groups) > MAX_LISTED:
        print(f"and {len(groups) - MAX_LISTED:,} more groups of equal images; --output FILE.json lists all")
    for line in describe_equal_images(groups, splits):
        print(line)
    return keys_of_groups(groups, splits)
