"""`keras-deit train`: distil a student from a teacher."""

import contextlib
import dataclasses
import pathlib
import sys

from keras_deit.cli.common import INTERRUPTED, make_parser
from keras_deit.cli.options import add_setting_options
from keras_deit.recipes.fields import RUN
from keras_deit.training import output
from keras_deit.training.build import build
from keras_deit.training.images import UnreadableError
from keras_deit.training.report import describe, how_to_go_on
from keras_deit.training.run import announce, check_ready, dry_run, train
from keras_deit.training.settings import resolve
from keras_deit.training.strategy import place

DESCRIPTION = """\
Train a DeiT student from labels and a teacher. With no --dataset it learns the handwritten digits that scikit-learn
ships (8×8 pixels); without --teacher a small convnet is trained first and kept for the next run. The backend is that of
KERAS_BACKEND. What is not given comes from --config, then from the recipe."""

_NOT_SETTINGS = ("output_dir", "resume", "config", "dry_run")


def add_options(parser):
    """Adds the options of the command, in groups."""
    group = add_setting_options(parser)[RUN]
    group.add_argument("--output-dir", metavar="DIR", help="default: a fresh one under runs/")
    group.add_argument(
        "--resume", action="store_true", help="go on with the run in --output-dir from its last whole epoch"
    )
    group.add_argument("--config", metavar="FILE.toml", help="settings, such as the config.toml of an earlier run")
    group.add_argument("--dry-run", action="store_true", help="build everything, run one batch and stop")


def main(arguments=None):
    """Runs the command.

    Args:
        arguments: List of strings; None means those of the process.

    Returns:
        The exit status: 0; 1 where an export answers otherwise than the student; 2 for bad input; 130 after Ctrl-C.
    """
    parser = make_parser("train", DESCRIPTION)
    add_options(parser)
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        try:
            run = _build(options, stack)
        except (ValueError, ImportError, OSError) as error:
            print(f"keras-deit train: error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("\nInterrupted before the student's training began.", file=sys.stderr)
            return INTERRUPTED
        announce(run)
        try:
            return _dry_run(run) if options.dry_run else _train(run, options.resume)
        except UnreadableError as error:
            print(f"keras-deit train: error: {error}", file=sys.stderr)
            return 2


def _build(options, stack):
    settings, directory = _settings_and_directory(options)
    check_ready(settings)
    placement = place(settings.strategy)
    stack.enter_context(placement.scope())
    if not options.dry_run:
        stack.enter_context(output.held(directory))
    if not options.resume:
        output.check_free(directory)
    if options.dry_run:  # which is not to ask a teacher for hours
        settings = dataclasses.replace(settings, teacher_cache=None)
    return build(settings, directory, placement.num_replicas)


def _settings_and_directory(options):
    command_line = {name: value for name, value in vars(options).items() if name not in _NOT_SETTINGS}
    directory = pathlib.Path(options.output_dir) if options.output_dir else None
    if not options.resume:
        settings = resolve(command_line, options.config)
        return settings, directory or output.default_directory(settings)
    if directory is None:
        raise ValueError("--resume goes on with the run in --output-dir. Which one?")
    if options.config:
        raise ValueError(f"--resume goes on with the settings of {directory / output.CONFIG}. Leave --config out.")
    return output.settings_to_resume(directory, command_line), directory


def _dry_run(run):
    dry_run(run)
    return 0


def _train(run, resume):
    if not resume:
        output.write_settings(run.settings, run.directory)
    try:
        summary = train(run, resume)
    except KeyboardInterrupt:  # the second Ctrl-C
        print(f"\nInterrupted at once. {how_to_go_on(run.directory)}", file=sys.stderr)
        return INTERRUPTED
    print(describe(summary, run.directory))
    if not summary["complete"]:
        return INTERRUPTED
    return 0 if all(report["agrees"] for report in summary.get("exports", ())) else 1
