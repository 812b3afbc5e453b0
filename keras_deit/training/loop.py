"""Training a run, from its first step to its summary."""

import contextlib
import dataclasses
import functools

import keras
import numpy as np

from keras_deit.explain.curves import draw_curves
from keras_deit.export.formats import CALIBRATION_IMAGES, check_formats, export, needs_calibration
from keras_deit.models import DeiT
from keras_deit.runtime import processes
from keras_deit.runtime.devices import peak_memory
from keras_deit.runtime.keras_file import load_keras_file
from keras_deit.runtime.optional import require
from keras_deit.runtime.printing import format_count, format_duration
from keras_deit.runtime.stop_signals import StopSignals
from keras_deit.training import run_directory
from keras_deit.training.best_epoch import ACCURACY, BestEpoch, best_row, is_past, save_if_best
from keras_deit.training.checkpoint import Checkpoints, metrics_of, restore_state
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
from keras_deit.training.run_report import write_at_end
from keras_deit.training.schedule import learning_rate_schedule
from keras_deit.training.teachers.chance import warn_if_convnet_at_chance
from keras_deit.training.token_similarity import TokenSimilarity
from keras_deit.training.trackers import check_trackers, make_trackers
from keras_deit.training.usable_images import explain_unreadable_images
from keras_deit.training.weight_average import KeepWeights, averaged

PREFETCHED = 4  # batches that a pipeline may have made beyond the one that is trained on
TIMED_STEPS = 1  # of a dry run, after the one that compiles
COMPARED_IMAGES = 256  # of the test split, for the comparison of an export with the student


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
    require("PIL.Image", extra="run", purpose="Drawing the report")
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
        f"{format_count(settings.epochs, 'epoch')}. The time left is shown as soon as it is measured."
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
    trained = fit(run, run.title)
    results = {"with a teacher" if run.settings.compare else "": trained}
    summary = _results(run, trained)
    if run.settings.compare and trained.is_complete:
        plain = without_teacher(run)
        results["without a teacher"] = trained = fit(plain, "without a teacher")
        if trained.is_complete:
            summary["without_teacher"] = plain.evaluate()
    if trained.diverged:
        summary["diverged"] = trained.diverged.details
    summary |= _facts(run, results, trained.is_complete)
    run_directory.write_summary(summary, run.directory)  # before the steps below, any of which may fail
    histories = {name: result.log.rows for name, result in results.items() if result.log.rows}
    if histories:
        draw_curves(histories, run.directory / "curves.png")
    if trained.is_complete:
        _finish(run, summary)
        if run.settings.is_convnet:
            warn_if_convnet_at_chance(summary["student"]["accuracy"], run.data.test)
    write_at_end(run, summary, next(iter(results.values())).log.rows)
    if trained.diverged:
        raise trained.diverged
    return summary


def _results(run, trained):
    """Saves and evaluates the student; returns the entries of the summary that describe it."""
    summary = {"epochs": trained.log.last_epoch, "steps": trained.position.total_steps, "student": None}
    if trained.position.total_steps or not trained.diverged:
        _save(run)
        if not trained.is_stopped:
            summary |= _evaluate(run)
    return summary | _best(run, trained.log)


def _facts(run, results, is_complete):
    """The entries of the summary that describe the run and its course; `results` are those of its trainings by name."""
    log = next(iter(results.values())).log
    return {
        "complete": is_complete,
        "model": run.title,
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


def _finish(run, summary):
    """Exports the student of a complete run, which adds to the summary, and removes the checkpoints."""
    if run.settings.export:
        summary["exports"] = processes.only_main(lambda: _export(run)) or []
        run_directory.write_summary(summary, run.directory)
    Checkpoints(run.directory).discard()
    Checkpoints(run.directory / "without_teacher").discard()


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

    @property
    def is_complete(self):
        """Whether the training came to its end."""
        return self.diverged is None and not self.is_stopped


def _fit(run, title, stop, resume, accepts_changes):
    """Trains the model of a run to its end, from the newest checkpoint on if the run is resumed; returns a `_FitResult`."""
    checkpoints = Checkpoints(run.directory, run.settings.keep_checkpoints)
    inputs = fingerprint(run)
    position, log, metrics = _begin(run, title, checkpoints, inputs, resume, accepts_changes)
    if position.epoch == run.settings.epochs or is_past(log.rows, run.settings.patience):
        return _FitResult(log, position)
    interval = CheckpointInterval.parse(run.settings.checkpoint_every)
    facts = {"inputs": inputs, "backend": keras.backend.backend()}
    saving = CheckpointCallback(checkpoints, run.settings.epochs, position, interval, log, facts, stop, metrics)
    try:
        _fit_guarded(run, title, position, log, saving, stop)
    except (DivergedError, StoppedError) as error:
        position, log = _restore(run, checkpoints.newest())
        diverged = error if isinstance(error, DivergedError) else None
        return _FitResult(log, position, diverged, is_stopped=diverged is None)
    if is_past(log.rows, run.settings.patience):
        print(f"{title}: stopped after epoch {log.last_epoch}, {run.settings.patience} epochs after the best one.")
    return _FitResult(log, position)


def _begin(run, title, checkpoints, inputs, resume, accepts_changes):
    """Brings a run to where it begins or continues.

    Returns:
        `Position`, `TrainingLog`, and the metrics of the checkpoint, or None.
    """
    newest = checkpoints.newest() if resume else None
    if newest:
        check_unchanged(newest[1]["inputs"], inputs, accepts_changes)
    run.build_metrics()
    position, log = _restore(run, newest)
    if newest is None:
        return position, log, None
    within = f"at step {position.step} of {position.steps_per_epoch} of epoch {position.epoch + 1}"
    print(f"{title}: resumed {within if position.step else f'after epoch {position.epoch}'} of {run.settings.epochs}.")
    if not position.step:  # otherwise the student is not that of the last row any more
        save_if_best(run, log)
    return position, log, metrics_of(newest[0])


def _fit_guarded(run, title, position, log, saving, stop):
    """Trains, and ends progress, checkpoints and trackers in good order after an error too, which is explained."""
    settings = run.settings
    schedule = learning_rate_schedule(settings, position.steps_per_epoch)
    pace = Pace(settings.batch_size, len(run.data.test))
    progress = Progress(title, settings.epochs, position, pace, schedule)
    divergence = DivergenceStop(title, settings, position, run.describe_batch)
    name = run.directory.name if title == run.title else f"{run.directory.parent.name} {title}"
    trackers = make_trackers(settings, log, run.directory, name)
    callbacks = [position, divergence, *measures_of(run), log, progress, *trackers, BestEpoch(run, log, saving), saving]
    if settings.ema_decay is not None:
        callbacks.append(KeepWeights())
    explain_damage = run.cache.explain_damage if run.cache else contextlib.nullcontext
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


def measures_of(run):
    """Returns the callbacks that add to the logs of an epoch, which come before those that read the logs."""
    has_tokens = isinstance(run.student, DeiT) and run.student.distilled
    return [TokenSimilarity(run.student, run.data)] if has_tokens and not processes.is_distributed() else []


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
    if not is_same_epoch:  # the schedule counts steps, and goes on where the epoch begins
        run.model.optimizer.iterations.assign(position.total_steps)
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
    images, labels = run.data.prepared(run.data.test, COMPARED_IMAGES)
    needs_images = needs_calibration(run.settings.export)
    calibration = run.data.prepared(run.data.train, CALIBRATION_IMAGES)[0] if needs_images else None
    with processes.alone():
        student = (
            load_keras_file(run.directory / run_directory.STUDENT_FILE) if processes.is_distributed() else run.student
        )
        reports = export(student, run.settings.export, run.directory, images, labels, calibration, overwrite=True)
    for report in reports:
        print(report)
    return [dataclasses.asdict(report) for report in reports]
