"""`keras-deit validate-data`: find the pictures of a dataset that cannot be read, or are not what they seem."""

from keras_deit.cli.common import make_parser, reporting
from keras_deit.data import FATAL_ISSUES, IMAGE_ISSUES, load, validate
from keras_deit.data.sources.load import SPLITS

DESCRIPTION = "Read every picture of a dataset and name those that are\n\n" + "\n".join(
    f"  {kind:<13} {meaning}" for kind, meaning in IMAGE_ISSUES.items()
)


@reporting("validate-data")
def main(arguments=None):
    """Runs the command.

    Args:
        arguments: List of strings; None means those of the process.

    Returns:
        The exit status: 0; 1 where a picture cannot be read; 2 for bad input; 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    reports = []
    for split in SPLITS if options.split == "both" else [options.split]:
        data = load(options.dataset, split, options.data_dir)
        report = validate(data, options.num_workers)
        for path, kinds in sorted(report.problems.items()):
            print(f"{', '.join(kinds)}: {path}")
        counts = ", ".join(f"{number} {kind}" for kind, number in report.counts().items()) or "nothing to report"
        print(f"{data.name} ({split}): {report.checked:,} pictures of {data.num_classes} classes; {counts}")
        if getattr(data, "ignored", 0):
            print(f"{data.name} ({split}): {data.ignored} other files, by their endings no pictures")
        reports.append(report)
    whole = reports[0].joined(reports[1:])
    if options.report:
        whole.write(options.report)
        print(f"Report: {options.report} (for keras-deit train --validated)")
    return 1 if whole.having(FATAL_ISSUES) else 0


def _parser():
    parser = make_parser("validate-data", DESCRIPTION)
    parser.add_argument("dataset", help="a folder of class folders, a CSV file or a name of TFDS")
    parser.add_argument("--split", choices=(*SPLITS, "both"), default="both", help="default: both")
    parser.add_argument("--data-dir", metavar="DIR", help="where TFDS keeps its datasets")
    parser.add_argument("--num-workers", type=int, metavar="N", help="threads; default: one a core")
    parser.add_argument("--report", metavar="FILE.json", help="write what was found there")
    return parser
