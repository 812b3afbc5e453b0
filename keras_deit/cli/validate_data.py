"""`keras-deit validate-data`: lists the images of a dataset that cannot be read, or are not what they seem."""

from keras_deit.cli.common import make_parser, reporting
from keras_deit.data.sources.image_issues import FATAL_ISSUES, IMAGE_ISSUES, validate
from keras_deit.data.sources.load import load
from keras_deit.data.sources.splits import SPLITS

DESCRIPTION = "Read every image of a dataset and list those with one of these issues:\n\n" + "\n".join(
    f"  {issue:<13} {meaning}" for issue, meaning in IMAGE_ISSUES.items()
)


@reporting("validate-data")
def main(arguments=None):
    """Runs the command.

    Args:
        arguments: List of strings; None means the arguments of the process.

    Returns:
        The exit status: 0; 1 if an image cannot be read; 2 for bad input; 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    splits = SPLITS if options.split == "both" else [options.split]
    reports = [_validate_split(options, split) for split in splits]
    report = reports[0].joined(reports[1:])
    if options.output:
        report.write(options.output)
        print(f"Report: {options.output} (for keras-deit train --validated)")
    return 1 if any(of_split.having(FATAL_ISSUES) for of_split in reports) else 0


def _validate_split(options, split):
    data = load(options.dataset, split, options.data_dir)
    report = validate(data, options.num_workers)
    for key, issues in sorted(report.problems.items()):
        print(f"{', '.join(issues)}: {key}")
    counts = ", ".join(f"{number} {issue}" for issue, number in report.counts().items()) or "no issues"
    print(f"{data.name} ({split}): {report.checked:,} images of {data.num_classes} classes; {counts}")
    if data.num_ignored:
        print(f"{data.name} ({split}): {data.num_ignored} other files were ignored because of their extensions")
    return report


def _parser():
    parser = make_parser("validate-data", DESCRIPTION)
    parser.add_argument(
        "dataset", help="a folder of class folders, a .csv file, an .npz file or the name of a dataset of TFDS"
    )
    parser.add_argument("--split", choices=(*SPLITS, "both"), default="both", help="default: both")
    parser.add_argument("--data-dir", metavar="DIR", help="directory where TFDS keeps its datasets")
    parser.add_argument("--num-workers", type=int, metavar="N", help="number of threads; default: one for every core")
    parser.add_argument("--output", metavar="FILE.json", help="write a report there")
    return parser
