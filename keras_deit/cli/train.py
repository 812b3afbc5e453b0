"""`keras-deit train`: distils a student from a teacher, or fine-tunes a teacher."""

import contextlib
import importlib
import sys

from keras_deit.cli.common import make_parser, plain_warnings, print_error
from keras_deit.cli.options import add_setting_options
from keras_deit.recipes.fields import RUN
from keras_deit.runtime.command import command_line_of
from keras_deit.runtime.stop_signals import STOPPED, StopSignals

DESCRIPTION = """\
Train a DeiT (the student) on labels and on the predictions of a teacher. Without --dataset, the images are the
handwritten digits of scikit-learn (8×8 pixels), and the command first trains a small convolutional network as the
teacher, which later runs use again. For other datasets, pass --teacher, or --distillation none.

With a RegNetY as --variant, or with --architecture, the command fine-tunes a convolutional network on the labels
alone. The output directory of such a run can be the --teacher of another run.

An option overrides the file that --config names, and the file overrides the recipe. The environment variable
KERAS_BACKEND selects the backend."""

NOT_SETTINGS = ("output_dir", "resume", "config", "dry_run", "accept_changes")
PROCESSES = ("coordinator", "num_processes", "process_id")  # which differ among the processes of a run


def add_options(parser):
    """Adds the options of the command, in groups."""
    group = add_setting_options(parser)[RUN]
    group.add_argument("--output-dir", metavar="DIR", help="output directory; default: a new one under runs/")
    group.add_argument(
        "--resume",
        nargs="?",
        const=True,
        default=False,
        choices=("auto",),
        help="continue the run in --output-dir from its newest checkpoint; auto: if there is no run, begin it",
    )
    group.add_argument(
        "--accept-changes",
        action="store_true",
        help="with --resume: continue although the images or the teacher have changed",
    )
    group.add_argument("--config", metavar="FILE.toml", help="settings, such as the config.toml of an earlier run")
    group.add_argument(
        "--dry-run",
        action="store_true",
        help="train on one batch only, and print the number of steps, the memory use and the expected time",
    )
    add_process_options(parser.add_argument_group("several processes (JAX)"))


def add_process_options(group):
    """Adds the options of a run of several processes."""
    group.add_argument(
        "--coordinator", metavar="HOST:PORT", help="address of process 0; default: from Slurm, otherwise one process"
    )
    group.add_argument("--num-processes", type=int, metavar="N", help="number of processes; default: from Slurm")
    group.add_argument(
        "--process-id",
        type=int,
        metavar="I",
        help="index of this process, from 0; default: from Slurm, or from an indexed job of Kubernetes",
    )


def main(arguments=None):
    """Runs the command.

    Args:
        arguments: List of strings; None means the arguments of the process.

    Returns:
        The exit status: 0; 1 if an export differs from the student, or the loss is no longer finite; 2 for bad input or a
        full disk; 75 if a signal stopped the run, which --resume continues; 130 after Ctrl-C before the training, or a
        second Ctrl-C.
    """
    parser = make_parser("train", DESCRIPTION)
    add_options(parser)
    options = vars(parser.parse_args(arguments))
    with StopSignals(_announce_stop) as stop:
        try:
            importlib.import_module("keras_deit.public")  # not before the options are read: `--help` is printed at once
            with plain_warnings(parser):
                stop.check()
                return _run_in_processes(parser, options, stop)
        except KeyboardInterrupt:
            print("\nInterrupted before the student's training began.", file=sys.stderr)
            return _left(stop.exit_status)


def _announce_stop():
    from keras_deit.training.train import announce_stop

    announce_stop()


def _run_in_processes(parser, options, stop):
    """Joins the other processes of the run, if there are any."""
    from keras_deit.runtime import processes

    try:
        processes.join(**{name: options.pop(name) for name in PROCESSES})
    except (ValueError, processes.ProcessError) as error:
        print_error(parser, error)
        return 2
    try:
        return _run(parser, options, stop)
    except processes.ProcessError as error:
        return _failed(parser, error)


def _failed(parser, error, status=2):
    """Prints an error and returns the exit status."""
    print_error(parser, error)
    return _left(status)


def _left(status):
    """Returns an exit status; one of several processes ends with it at once, since it would wait for the others."""
    processes = sys.modules.get("keras_deit.runtime.processes")  # not imported yet if Ctrl-C came early
    if processes is not None:
        processes.exit_now(status)
    return status


def _run(parser, options, stop):
    from keras_deit.data.pipeline.teacher_cache import DamagedCacheError
    from keras_deit.runtime.files import DiskFullError
    from keras_deit.training.closing_summary import how_to_resume
    from keras_deit.training.divergence import DivergedError
    from keras_deit.training.fingerprint import ChangedRunError
    from keras_deit.training.loop import announce, dry_run
    from keras_deit.training.run_directory import CompleteRunError
    from keras_deit.training.trackers import TrackerError
    from keras_deit.training.train import AUTO, prepared_run
    from keras_deit.training.usable_images import UnreadableError

    output_dir, resume, config, is_dry, accepts_changes = (options.pop(name) for name in NOT_SETTINGS)
    with contextlib.ExitStack() as stack:
        try:
            prepared = prepared_run(options, output_dir, resume, config, accepts_changes, is_dry)
            run, is_resumed = stack.enter_context(prepared)
            stop.check()
        except CompleteRunError as error:
            if resume == AUTO:
                print(f"The run in {output_dir} is complete.")
                return 0
            print_error(parser, error)
            return 2
        except (ValueError, ImportError, OSError) as error:
            return _failed(parser, error)
        try:
            announce(run)
            if is_dry:
                dry_run(run)
                return 0
            return _train(run, is_resumed, stop, accepts_changes)
        except DiskFullError as error:
            return _failed(parser, f"{error} {how_to_resume(run.directory, command_line_of('train'))}")
        except (UnreadableError, DamagedCacheError, ChangedRunError, TrackerError) as error:
            return _failed(parser, error)
        except DivergedError as error:
            return _failed(parser, f"{error}{_student_so_far(run)}", status=1)


def _student_so_far(run):
    from keras_deit.models.pretrained import STUDENT_FILE

    student = run.directory / STUDENT_FILE
    return f" The student of the newest checkpoint: {student}" if student.exists() else " No student was saved."


def _train(run, is_resumed, stop, accepts_changes):
    from keras_deit.training.closing_summary import describe, how_to_resume
    from keras_deit.training.train import start_or_resume

    command = command_line_of("train")
    try:
        summary = start_or_resume(run, is_resumed, stop, accepts_changes)
    except KeyboardInterrupt:
        print(f"\nInterrupted at once. {how_to_resume(run.directory, command)}", file=sys.stderr)
        return _left(stop.exit_status)
    print(describe(summary, run.directory, command))
    if not summary["complete"]:
        return STOPPED
    return 0 if all(report["agrees"] for report in summary.get("exports", ())) else 1
