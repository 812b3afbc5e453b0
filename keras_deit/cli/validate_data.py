"""`keras-deit validate-data`: lists the images of a dataset that cannot be read, or are not what they seem."""

import dataclasses

from keras_deit.choices import FATAL_ISSUES, SPLITS
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
    for key, issues in sorted(report.problems.items()):
        print(f"{', '.join(issues)}: {key}{report.details(key)}")
    counts = ", ".join(f"{number} {issue}" for issue, number in report.counts().items()) or "no issues"
    print(f"{data.name} ({split}): {report.checked:,} images of {data.num_classes} classes; {counts}")
    for sentence in report.advice():
        print(sentence)
    return report


def _list_equal_images(splits):
    """Prints groups of equal images; returns their keys."""
    groups = find_equal_images(splits)
    for group in groups:
        print(f"equal: {', '.join(describe_example(splits[split], split, index) for split, index in group)}")
    for line in describe_equal_images(groups, splits):
        print(line)
    return keys_of_groups(groups, splits)
