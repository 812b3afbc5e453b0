"""`keras-deit validate-data`: lists the images of a dataset that cannot be read, or are not what they seem."""

import dataclasses

from keras_deit.choices import FATAL_ISSUES, IMAGE_ISSUES, TEST_SPLITS
from keras_deit.cli.common import make_parser, reporting
from keras_deit.data.sources.classes import check_trained, describe_classes
from keras_deit.data.sources.equal_images import (
    describe_equal_images,
    describe_example,
    find_equal_images,
    keys_of_groups,
)
from keras_deit.data.sources.image_issues import validate
from keras_deit.data.sources.load import load
from keras_deit.data.sources.splits import SPLITS

DESCRIPTION = "Read every image of a dataset and list those with one of these issues:\n\n" + "\n".join(
    f"  {issue:<13} {meaning}" for issue, meaning in IMAGE_ISSUES.items()
)


@reporting(lambda: _parser())
def main(arguments=None):
    """Runs the command.

    Args:
        arguments: List of strings; None means the arguments of the process.

    Returns:
        The exit status: 0; 1 if an image cannot be read; 2 for bad input; 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
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
    return load(
        options.dataset,
        split,
        options.data_dir,
        train_folder=options.train_folder,
        test_folder=options.test_folder,
        test_split=options.test_split,
        bit_depth=options.bit_depth,
    )


def _validate_split(options, split, data):
    report = validate(data, options.num_workers)
    for key, issues in sorted(report.problems.items()):
        print(f"{', '.join(issues)}: {key}{report.details(key)}")
    counts = ", ".join(f"{number} {issue}" for issue, number in report.counts().items()) or "no issues"
    print(f"{data.name} ({split}): {report.checked:,} images of {data.num_classes} classes; {counts}")
    if report.used_bits:
        print(report.describe_used_bits())
    return report


def _list_equal_images(splits):
    """Prints groups of equal images; returns their keys."""
    groups = find_equal_images(splits)
    for group in groups:
        print(f"equal: {', '.join(describe_example(splits[split], split, index) for split, index in group)}")
    for line in describe_equal_images(groups, splits):
        print(line)
    return keys_of_groups(groups, splits)


def _parser():
    parser = make_parser("validate-data", DESCRIPTION)
    parser.add_argument(
        "dataset", help="a folder of class folders, a .csv file, an .npz file or the name of a dataset of TFDS"
    )
    parser.add_argument("--split", choices=(*SPLITS, "both"), default="both", help="default: both")
    parser.add_argument("--train-folder", metavar="FOLDER", help="folder of the training split; default: recognised")
    parser.add_argument("--test-folder", metavar="FOLDER", help="folder of the test split; default: recognised")
    parser.add_argument(
        "--test-split", choices=TEST_SPLITS, help="which split is the test split, if there are both; default: val"
    )
    parser.add_argument(
        "--bit-depth",
        type=int,
        metavar="BITS",
        help="bits that files of 16 bits use, if they do not state it; default: 16",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="directory where TFDS keeps its datasets")
    parser.add_argument("--num-workers", type=int, metavar="N", help="number of threads; default: one for every core")
    parser.add_argument("--output", metavar="FILE.json", help="write a report there")
    return parser
