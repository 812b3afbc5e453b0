"""A run from Python: `keras_deit.train`."""

import contextlib
import dataclasses
import os
import pathlib
from typing import NamedTuple

import keras

from keras_deit.recipes.fields import NONE
from keras_deit.runtime import processes
from keras_deit.runtime.files import user_path
from keras_deit.runtime.numpy_numbers import python_number
from keras_deit.runtime.printing import readable_output
from keras_deit.runtime.stop_signals import StopSignals
from keras_deit.training import loop, run_directory
from keras_deit.training.closing_summary import describe
from keras_deit.training.config_file import read_config
from keras_deit.training.device_strategy import setup_strategy
from keras_deit.training.process_directory import claimed
from keras_deit.training.resolve import is_given, resolve
from keras_deit.training.run import build_run

AUTO = "auto"  # value of `resume`


class TrainingResult(NamedTuple):
    """The result of `train`.

    Attributes:
        summary: Dictionary as in `summary.json`: accuracies, speed, settings, versions.
        student: The trained `keras_deit.DeiT`, or the convnet of a run that fine-tunes a teacher.
        directory: Output directory of the run.
    """

    summary: dict
    student: keras.Model
    directory: pathlib.Path


def train(
    *,
    output_dir=None,
    resume=False,
    config=None,
    accept_changes=False,
    coordinator=None,
    num_processes=None,
    process_id=None,
    **settings,
):
    """Trains a student, or fine-tunes a teacher, as `keras-deit train` does, and writes the same output directory.

    Args:
        output_dir: Output directory; None chooses an unused directory under `runs/`.
        resume: Whether to continue the interrupted run in `output_dir` at the step of its newest checkpoint. `"auto"`
            continues if there is a run, and otherwise begins one; the result of a complete run is returned as it is.
        config: Path of a TOML file with settings, such as the `config.toml` of an earlier run, or None.
        accept_changes: Whether a resumed run continues although the images or the teacher have changed.
        coordinator, num_processes, process_id: Address `host:port` of process 0, number of processes and index of this
            process, for a run of several processes on JAX; see `keras_deit.runtime.processes.join`. The other processes
            return the same summary and student, and write nothing into the output directory.
        **settings: Settings by name, such as `variant="deit_s", dataset="images/", recipe="transfer", epochs=30`. They take
            precedence over `config`, and `config` over the recipe. None switches a setting off where the recipe has a
            value, such as `auto_augment=None`. `docs/settings.md` lists all settings.

    Returns:
        A `TrainingResult` `(summary, student, directory)`.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If the settings do not fit together, or the images or the teacher cannot be used.
        ArithmeticError: If the loss or the weights are no longer finite; the message names the step and the learning rate.

    Example:

    ```python
    summary, student, directory = kd.train(variant="deit_ti", epochs=20)
    print(summary["student"]["accuracy"])
    classifier = kd.DeiTClassifier(student)
    ```
    """
    _check_is_name_or_path(settings.get("dataset"))
    settings = {name: _as_option(value) for name, value in settings.items()}
    processes.join(coordinator, num_processes, process_id)
    try:
        with (
            readable_output(),
            StopSignals(announce_stop) as stop,
            prepared_run(settings, output_dir, resume, config, accept_changes) as (run, is_resumed),
        ):
            loop.announce(run)
            summary = start_or_resume(run, is_resumed, stop, accept_changes)
            print(describe(summary, run.directory))
    except run_directory.CompleteRunError:
        if resume != AUTO:
            raise
        directory = user_path(output_dir)
        return TrainingResult(run_directory.read_summary(directory), run_directory.load_student(directory), directory)
    return TrainingResult(summary, run.student, run.directory)


def announce_stop():
    """Prints that a signal has arrived."""
    print("\nStopping after this step. A second Ctrl-C stops at once.", flush=True)


@contextlib.contextmanager
def prepared_run(settings, output_dir=None, resume=False, config=None, accept_changes=False, dry_run=False):
    """Resolves the settings, sets up the devices, locks the output directory and builds the run.

    Args:
        settings: Dictionary of settings; None means not given.
        output_dir, resume, config, accept_changes: See `train`.
        dry_run: Whether the run is only tried: it locks no directory, and stores no teacher outputs.

    Yields:
        A `Run`, and whether it continues an interrupted run.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        CompleteRunError: If the run that is to be resumed is complete.
        ValueError: If the settings do not fit together, or the images or the teacher cannot be used.
    """
    if accept_changes and not resume:
        raise ValueError("`accept_changes` is for a run that is continued. Pass `resume` too, or leave it out.")
    if resume == AUTO:
        resume = processes.from_main(_has_run(output_dir))  # before process 0 begins a run that others might see
        if resume and config:
            settings, config = {**read_config(config), **_given(settings)}, None
    resolved, directory = _settings_and_directory(settings, output_dir, resume, config)
    loop.check_ready(resolved)
    strategy = setup_strategy(resolved.strategy, resolved.batch_size, resolved.accumulate)
    with contextlib.ExitStack() as stack:
        stack.enter_context(processes.leaving_together())
        stack.enter_context(processes.quiet_unless_main())
        stack.enter_context(strategy.scope())
        if dry_run:
            resolved = dataclasses.replace(resolved, teacher_cache=None)
        directory = stack.enter_context(claimed(directory, resume, locks=not dry_run))
        adapts_batch_size = not resume and not is_given("batch_size", settings, config)
        run = build_run(resolved, directory, strategy.num_replicas, adapts_batch_size)
        print(strategy.describe(run.settings.batch_size))
        yield run, resume


def start_or_resume(run, resume, stop=None, accepts_changes=False):
    """Trains a run; a new run first writes its settings, which mark the output directory as its own.

    Args:
        run: `Run`.
        resume: Whether to continue from the newest checkpoint.
        stop, accepts_changes: See `keras_deit.training.loop.train_run`.

    Returns:
        The summary, a dictionary as in `summary.json`.
    """
    if not resume:
        run_directory.write_settings(run.settings, run.directory)
    return loop.train_run(run, resume, stop, accepts_changes)


def _has_run(output_dir):
    """Whether a directory holds a run."""
    if not output_dir:
        raise ValueError("`resume` continues the run in an output directory. Pass `output_dir` too.")
    return (user_path(output_dir) / run_directory.CONFIG).exists()


def _given(settings):
    return {name: value for name, value in settings.items() if value is not None}


def _check_is_name_or_path(dataset):
    """Checks that the dataset of a run, which its `config.toml` names, is no object in memory."""
    if not isinstance(dataset, (str, os.PathLike, type(None))):
        raise ValueError(
            "`dataset` must be a string, the name or path of a dataset. Save arrays with `numpy.savez(path, x_train=..., "
            "y_train=..., x_test=..., y_test=...)` and pass the path; or train on any data with `keras_deit.Distiller(...)"
            f".fit` and `keras_deit.data.InputPipeline`. Received: {type(dataset).__name__}"
        )


def _as_option(value):
    """A value as the command line would give it: there, None is a word, a path is a string and numbers are Python's."""
    if value is None:
        return NONE
    return os.fspath(value) if isinstance(value, os.PathLike) else python_number(value)


def _settings_and_directory(settings, output_dir, resume, config):
    directory = user_path(output_dir) if output_dir else None
    if not resume:
        resolved = resolve(settings, config)
        return resolved, directory or run_directory.default_directory(resolved)
    if directory is None:
        raise ValueError("`resume` continues the run in an output directory. Pass `output_dir` too.")
    if config:
        raise ValueError(
            f"--resume continues with the settings of {directory / run_directory.CONFIG}. Leave --config out."
        )
    return run_directory.settings_to_resume(directory, settings), directory
