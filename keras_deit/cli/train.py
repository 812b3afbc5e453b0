"""`keras-deit train`: distils a student from a teacher."""

import contextlib
import importlib
import sys

from keras_deit.cli.common import INTERRUPTED, make_parser, plain_warnings, print_error
from keras_deit.cli.options import add_setting_options
from keras_deit.recipes.fields import RUN
from keras_deit.runtime.command import command_line_of

DESCRIPTION = """\
Train a DeiT student from labels and a teacher. Without --dataset the student learns the handwritten digits of
scikit-learn (8×8 pixels); without --teacher a small convnet is trained first and kept for the next run. The
environment variable KERAS_BACKEND chooses the backend. A setting that is not given comes from --config, then from
the recipe."""

NOT_SETTINGS = ("output_dir", "resume", "config", "dry_run")


def add_options(parser):
    """Adds the options of the command, in groups."""
    group = add_setting_options(parser)[RUN]
    group.add_argument("--output-dir", metavar="DIR", help="output directory; default: a new one under runs/")
    group.add_argument(
        "--resume", action="store_true", help="continue the run in --output-dir after its last whole epoch"
    )
    group.add_argument("--config", metavar="FILE.toml", help="settings, such as the config.toml of an earlier run")
    group.add_argument("--dry-run", action="store_true", help="build everything, train on one batch and stop")


def main(arguments=None):
    """Runs the command.

    Args:
        arguments: List of strings; None means the arguments of the process.

    Returns:
        The exit status: 0; 1 if an export differs from the student, or the loss is no longer finite; 2 for bad input; 130
        after Ctrl-C.
    """
    parser = make_parser("train", DESCRIPTION)
    add_options(parser)
    options = vars(parser.parse_args(arguments))
    try:
        importlib.import_module("keras_deit.public")  # not before the options are read: `--help` answers at once
        with plain_warnings(parser):
            return _run(parser, options)
    except KeyboardInterrupt:
        print("\nInterrupted before the student's training began.", file=sys.stderr)
        return INTERRUPTED


def _run(parser, options):
    from keras_deit.data.pipeline.teacher_cache import DamagedCacheError
    from keras_deit.training.divergence import DivergedError
    from keras_deit.training.loop import announce, dry_run
    from keras_deit.training.train import prepared_run
    from keras_deit.training.usable_images import UnreadableError

    output_dir, resume, config, is_dry = (options.pop(name) for name in NOT_SETTINGS)
    with contextlib.ExitStack() as stack:
        try:
            run = stack.enter_context(prepared_run(options, output_dir, resume, config, is_dry))
        except (ValueError, ImportError, OSError) as error:
            print_error(parser, error)
            return 2
        try:
            announce(run)
            if is_dry:
                dry_run(run)
                return 0
            return _train(run, resume)
        except (UnreadableError, DamagedCacheError) as error:
            print_error(parser, error)
            return 2
        except DivergedError as error:
            print_error(parser, f"{error}{_student_so_far(run)}")
            return 1


def _student_so_far(run):
    from keras_deit.models.pretrained import STUDENT_FILE

    student = run.directory / STUDENT_FILE
    return f" The student of the last finite epoch: {student}" if student.exists() else " No student was saved."


def _train(run, resume):
    from keras_deit.training.closing_summary import describe, how_to_resume
    from keras_deit.training.train import start_or_resume

    command = command_line_of("train")
    try:
        summary = start_or_resume(run, resume)
    except KeyboardInterrupt:  # the second Ctrl-C
        print(f"\nInterrupted at once. {how_to_resume(run.directory, command)}", file=sys.stderr)
        return INTERRUPTED
    print(describe(summary, run.directory, command))
    if not summary["complete"]:
        return INTERRUPTED
    return 0 if all(report["agrees"] for report in summary.get("exports", ())) else 1
