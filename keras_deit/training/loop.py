"""Training a run, from its first step to its summary."""

import contextlib
import dataclasses
import functools

import keras
import numpy as np

from keras_deit.explain.curves import draw_curves
from keras_deit.export.formats import check_formats, export
from keras_deit.runtime import processes
from keras_deit.runtime.devices import peak_memory
from keras_deit.runtime.keras_file import load_keras_file
from keras_deit.runtime.optional import require
from keras_deit.runtime.printing import format_duration
from keras_deit.runtime.stop_signals import StopSignals
from keras_deit.training import run_directory
from keras_deit.training.best_epoch import ACCURACY, BestEpoch, best_row, is_past
from keras_deit.training.checkpoint import Checkpoints, restore_state
from keras_deit.training.checkpoint_callback import CheckpointCallback, StoppedError
from keras_deit.training.checkpoint_interval import CheckpointInterval
from keras_deit.training.closing_summary import format_memory
from keras_deit.training.divergence import DivergedError, DivergenceStop, check_finite_loss
from keras_deit.training.fingerprint import check_unchanged, fingerprint
from keras_deit.training.log import TrainingLog
from keras_deit.training.pace import Pace
from keras_deit.training.position import Position
from keras_deit.training.progress import Progress
from keras_deit.training.run import without_teacher
from keras_deit.training.schedule import learning_rate_schedule
from keras_deit.training.trackers import check_trackers, make_trackers
from keras_deit.training.usable_images import explain_unreadable_images
from keras_deit.training.weight_average import KeepWeights, averaged

PREFETCHED = 4  # batches that a pipeline may have made beyond the one that is trained on
TIMED_STEPS = 1  # of a dry run, after the one that compiles
COMPARED_IMAGES = 64  # of the test split, for the comparison of an export with the student


def check_ready(settings):
    """Checks before anything long begins what would otherwise fail at the end.

    Args:
        settings: `Settings`.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If an export format is unknown, or Weights & Biases cannot be used.
    """
    check_formats(settings.export)
    require("matplotlib.figure", extra="run", purpose="Drawing the curves")
    require("tomli_w", extra="run", purpose="Writing config.toml")
    require("tqdm", extra="run", purpose="The progress bar")
    check_trackers(settings.log)


def announce(run):
    """Prints the student, the images and the recipe of a run."""
    settings, student, data = run.settings, run.student, run.data
    height, width = data.image_size
    patch = "" if settings.is_convnet else f", patch {student.backbone.patch_size}"
    print(data.describe())
    print(
        f"{run.title.capitalize()}: {settings.model_name} with {student.count_params():,} parameters on "
        f"{len(data.train):,} images of {data.train.name} ({height}×{width}{patch}), recipe {settings.recipe}, "
        f"{settings.epochs} epochs. The time left is shown as soon as it is measured."
        + (" For ImageNet: --dataset imagenet2012." if settings.dataset == "digits" else "")
    )


def dry_run(run):
    """Trains on one batch and prints parameters, images, steps, expected time, memory and the loss.

    Args:
        run: `Run`.

    Raises:
        DivergedError: If the loss is not finite.
    """
    data, epochs = run.data, run.settings.epochs
    batch, pace = data.first_batch(), Pace(run.settings.batch_size, len(data.test))
    losses = []
    for _ in range(1 + TIMED_STEPS):  # the first one compiles
        losses.append(float(run.model.train_on_batch(*batch, return_dict=True)["loss"]))
        pace.end_step()
    check_finite_loss(losses[0], run.settings)
    steps = data.plan.num_batches
    seconds = pace.seconds_left(steps * epochs, validations=epochs) * (2 if run.settings.compare else 1)
    print(f"Parameters: {run.student.count_params():,}")
    print(f"Images:     {len(data.train):,} to train, {len(data.test):,} to test")
    print(f"Steps:      {steps:,} an epoch, {steps * epochs:,} in all")
    print(f"Time:       about {format_duration(seconds)}, if the images are prepared as fast as they are trained on")
    print(f"Memory:     {format_memory(peak_memory())} at most so far")
    print(f"Loss:       {losses[0]:.4f} on the first batch")
    print(
        "Dry run: everything was built and one batch was trained on. Nothing was kept, except a teacher trained for the run."
    )


def train_run(run, resume=False, stop=None, accepts_changes=False):
    """Trains and evaluates a run, and writes the files of its output directory.

    Args:
        run: `Run`.
        resume: Whether to continue from the newest checkpoint in the output directory.
        stop: Open `StopSignals`, or None.
        accepts_changes: Whether to continue although the images or the teacher have changed since the checkpoint.

    Returns:
        The summary, a dictionary as in `summary.json`.

    Raises:
        DivergedError: If the loss or the weights are no longer finite. The directory then holds the student of the newest
            checkpoint, if there is one, and a summary with `diverged`.
        ChangedRunError: If the images or the teacher have changed.
        DiskFullError: If there is no space for a checkpoint or a result.
    """
    fit = functools.partial(_fit, stop=stop or StopSignals(), resume=resume, accepts_changes=accepts_changes)
    result = fit(run, run.title)
    log, diverged, is_stopped = result.log, result.diverged, result.is_stopped
    summary = {"epochs": log.last_epoch, "steps": result.position.total_steps, "student": None}
    if result.position.total_steps or not diverged:
        _save(run)
        if not is_stopped:
            summary |= _evaluate(run)
    summary |= _best(run, log)
    curves = {"with a teacher" if run.settings.compare else "": log.rows}
    if run.settings.compare and not is_stopped and not diverged:
        plain = without_teacher(run)
        plain_result = fit(plain, "without a teacher")
        diverged, is_stopped = plain_result.diverged, plain_result.is_stopped
        curves["without a teacher"] = plain_result.log.rows
        if not diverged and not is_stopped:
            summary["without_teacher"] = plain.evaluate()
    if diverged:
        summary["diverged"] = diverged.details
    summary |= {
        "complete": not is_stopped and not diverged,
        "teacher": {"accuracy": run.teacher_accuracy},
        "settings": _resolved_settings(run),
        "parameters": run.student.count_params(),
        "images_per_second": log.images_per_second,
        "waiting_for_data": log.waiting_for_data,
        "skipped": run.data.skipped,
        "skipped_steps": log.skipped_steps,
        "seconds": log.total_seconds,
        "peak_memory_bytes": peak_memory(),
        "versions": run_directory.versions(),
    }
    run_directory.write_summary(summary, run.directory)  # before the steps below, any of which may fail
    if log.rows:
        draw_curves({name: rows for name, rows in curves.items() if rows}, run.directory / "curves.png")
    if diverged:
        raise diverged
    if summary["complete"]:
        if run.settings.export:
            summary["exports"] = processes.only_main(lambda: _export(run)) or []
            run_directory.write_summary(summary, run.directory)
        Checkpoints(run.directory).discard()
        Checkpoints(run.directory / "without_teacher").discard()
    return summary


def _save(run):
    """Saves the student and its moving average."""
    run_directory.save_student(run.student, run.directory)
    if run.settings.ema_decay is not None:
        with averaged(run.model):
            run_directory.save_average(run.student, run.directory)


def _evaluate(run):
    """Evaluates the student and its moving average; returns the entries of the summary that describe them."""
    results = {"student": run.evaluate()}
    if run.settings.ema_decay is not None:
        with averaged(run.model):
            results["student_average"] = run.evaluate()
    return results


def _best(run, log):
    """The best epoch; returns the entry of the summary, empty before the first epoch has ended."""
    row = best_row(log.rows)
    if row is None:
        return {}
    weights = run_directory.BEST_FILE if run.settings.keep == "best" else None
    return {"best_epoch": {"epoch": row["epoch"], "accuracy": row[ACCURACY], "weights": weights}}


def _resolved_settings(run):
    """The settings as a dictionary, with the image size, patch size and alpha that the run chose."""
    resolved = {"image_size": list(run.data.image_size)}
    if not run.settings.is_convnet:
        resolved["patch_size"] = run.student.backbone.patch_size
    if run.settings.distillation != "none":
        resolved["alpha"] = run.model.alpha
    return {**dataclasses.asdict(run.settings), **resolved}


@dataclasses.dataclass(frozen=True)
class _FitResult:
    """The end of a training.

    Attributes:
        log: `TrainingLog`.
        position: `Position` that the model has; after a stop or an error, that of the newest checkpoint.
        diverged: The `DivergedError` that ended the training, or None.
        is_stopped: Whether a signal ended it.
    """

    log: TrainingLog
    position: Position
    diverged: DivergedError | None = None
    is_stopped: bool = False


def _fit(run, title, stop, resume, accepts_changes):
    checkpoints = Checkpoints(run.directory, run.settings.keep_checkpoints)
    inputs, steps = fingerprint(run), run.data.plan.num_batches
    newest = checkpoints.newest() if resume else None
    if newest:
        check_unchanged(newest[1]["inputs"], inputs, accepts_changes)
    run.build_metrics()
    position, log = _restore(run, newest)
    epochs = run.settings.epochs
    if newest:
        within = f"at step {position.step} of {steps} of epoch {position.epoch + 1}"
        print(f"{title}: resumed {within if position.step else f'after epoch {position.epoch}'} of {epochs}.")
    if position.epoch == epochs or is_past(log.rows, run.settings.patience):
        return _FitResult(log, position)
    pace = Pace(run.settings.batch_size, len(run.data.test))
    progress = Progress(title, epochs, position, pace, learning_rate_schedule(run.settings, steps))
    saving = CheckpointCallback(
        checkpoints,
        epochs,
        position,
        CheckpointInterval.parse(run.settings.checkpoint_every),
        log,
        {"inputs": inputs, "backend": keras.backend.backend()},
        stop,
        newest[0] if newest else None,
    )
    divergence = DivergenceStop(title, run.settings, position, run.describe_batch)
    name = run.directory.name if title == run.title else f"{run.directory.parent.name} {title}"
    trackers = make_trackers(run.settings, log, run.directory, name)
    callbacks = [position, divergence, log, progress, *trackers, BestEpoch(run, log), saving]
    if run.settings.ema_decay is not None:
        callbacks.append(KeepWeights())
    explain_damage = run.cache.explain_damage if run.cache else contextlib.nullcontext
    try:
        with (
            contextlib.ExitStack() as closing,
            contextlib.closing(progress),
            contextlib.closing(saving),
            explain_unreadable_images(lambda: _images_in_use(run, position)),
            explain_damage(),
            stop.deferred(),
        ):
            for tracker in trackers:
                closing.callback(tracker.close)
            _fit_from(run, position, callbacks)
    except (DivergedError, StoppedError) as error:
        position, log = _restore(run, checkpoints.newest())
        diverged = error if isinstance(error, DivergedError) else None
        return _FitResult(log, position, diverged, is_stopped=diverged is None)
    if is_past(log.rows, run.settings.patience):
        print(f"{title}: stopped after epoch {log.last_epoch}, {run.settings.patience} epochs after the best one.")
    return _FitResult(log, position)


def _restore(run, checkpoint):
    """Restores the model of a run; returns the `Position` and `TrainingLog` of the checkpoint, or new ones for None."""
    steps, path = run.data.plan.num_batches, run.directory / "history.csv"
    if checkpoint is None:
        position = Position(steps)
        return position, TrainingLog(path, run.settings.batch_size, position, run.timer)
    state, facts = checkpoint
    restore_state(run.model, state)
    is_same_epoch = facts["steps_per_epoch"] == steps  # otherwise the data have changed, deliberately
    position = Position(steps, facts["epoch"], facts["step"] if is_same_epoch else 0)
    log = TrainingLog(path, run.settings.batch_size, position, run.timer)
    log.restore(facts["log"])
    return position, log


def _fit_from(run, position, callbacks):
    """Trains from a position to the last epoch or an early end; the rest of an epoch needs a call of `fit` of its own."""
    first, steps = position.epoch, position.steps_per_epoch
    ends = [first + 1, run.settings.epochs] if position.step else [run.settings.epochs]
    for end in ends:
        done = position.step if position.epoch == first else 0
        run.model.fit(
            run.training_batches(first, done),
            validation_data=run.test_batches(),
            callbacks=callbacks,
            initial_epoch=first,
            epochs=end,
            steps_per_epoch=steps - done,
            shuffle=False,
            verbose=0,
        )
        if run.model.stop_training:
            return
        first = end


def _images_in_use(run, position):
    """The datasets that a run was reading, and the indices of the images that it may have read last."""
    plan = run.data.plan
    if position.is_whole:
        yield run.data.test, None
    positions = plan.iter_from(position.epoch, position.step)
    yield run.data.train, np.concatenate([plan.samples(*next(positions))[0] for _ in range(PREFETCHED)])


def _export(run):
    images = np.asarray(next(iter(run.test_batches()))[0][:COMPARED_IMAGES])
    with processes.alone():
        student = (
            load_keras_file(run.directory / run_directory.STUDENT_FILE) if processes.is_distributed() else run.student
        )
        reports = export(student, run.settings.export, run.directory, images, overwrite=True)
    for report in reports:
        print(report)
    return [dataclasses.asdict(report) for report in reports]
