"""`scripts/reproduce.py`: measures the findings of the DeiT paper with small models on small datasets."""

import argparse
import importlib
import sys

from keras_deit.cli.common import reporting
from keras_deit.runtime.numpy_numbers import check_at_least

DESCRIPTION = """\
Train small DeiTs with few labels per class, with and without a teacher, and write a table and a plot with 95 % intervals,
which say which findings of the DeiT paper hold at this size. docs/reproducing.md describes the study.

The same command continues an interrupted study. The environment variable KERAS_BACKEND selects the backend."""


def main(arguments=None):
    """Runs the script.

    Args:
        arguments: List of strings; None means the arguments of the process.

    Returns:
        The exit status: 0; 1 if a training failed; 2 for bad input; 130 after Ctrl-C.
    """
    parser = reproduce_parser()
    return _run(parser, parser.parse_args(arguments))


def reproduce_parser():
    """The parser of the script."""
    parser = argparse.ArgumentParser(
        prog="reproduce.py",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--dataset",
        nargs="+",
        default=["digits"],
        metavar="NAME",
        help="datasets, one after the other: digits (default), a folder, a .csv or .npz file, or a name of TFDS",
    )
    parser.add_argument("--quick", action="store_true", help="fewer seeds, labels, conditions and steps")
    parser.add_argument(
        "--output-dir",
        metavar="DIR",
        help="directory of the results of the trainings; default: runs/reproduce, or runs/reproduce_quick",
    )
    parser.add_argument("--report-dir", metavar="DIR", help="directory of the tables and plots; default: --output-dir")
    parser.add_argument(
        "--num-workers",
        type=int,
        metavar="N",
        help="number of processes, one core each; default: one for each core, at most 4",
    )
    return parser


@reporting
def _run(options):
    importlib.import_module("keras_deit.public")  # registers the classes of saved models
    from keras_deit.reproduction.study import reproduce
    from keras_deit.reproduction.workers import WorkerError

    if options.num_workers is not None:
        check_at_least(1, num_workers=options.num_workers)
    try:
        reports = reproduce(
            options.dataset, options.quick, options.output_dir, options.report_dir, num_workers=options.num_workers
        )
    except WorkerError as error:
        print(f"reproduce.py: error: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"Report: {path}" for path in reports))
    return 0
