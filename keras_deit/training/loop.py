"""Training a run, from its first step to its summary."""

import contextlib
import dataclasses
import time

import numpy as np

from keras_deit.explain.curves import draw_curves
from keras_deit.export.formats import check_formats, export
from keras_deit.models import get_variant
from keras_deit.runtime.devices import peak_memory
from keras_deit.runtime.optional import require
from keras_deit.training import checkpoint, run_directory
from keras_deit.training.closing_summary import format_memory
from keras_deit.training.divergence import DivergedError, DivergenceStop, check_finite_loss
from keras_deit.training.graceful_stop import GracefulStop
from keras_deit.training.log import TrainingLog
from keras_deit.training.progress import Progress, format_duration
from keras_deit.training.run import without_teacher
from keras_deit.training.usable_images import explain_unreadable_images
from keras_deit.training.weight_average import KeepWeights, averaged

PREFETCHED = 4  # batches that a pipeline may have made beyond the one that is trained on
COMPARED_IMAGES = 64  # of the test split, for the comparison of an export with the student


def check_ready(settings):
    """Checks before anything long begins what would otherwise fail at the end.

    Args:
        settings: `Settings`.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If the variant or an export format is unknown.
    """
    get_variant(settings.variant)
    check_formats(settings.export)
    require("matplotlib.figure", extra="run", purpose="Drawing the curves")
    require("tomli_w", extra="run", purpose="Writing config.toml")
    require("tqdm", extra="run", purpose="The progress bar")


def announce(run):
    """Prints the student, the images, the recipe and the expected time of a run."""
    settings, student, data = run.settings, run.student, run.data
    height, width = student.image_size
    print(data.describe())
    print(
        f"Student: {settings.variant} with {student.count_params():,} parameters on {len(data.train):,} images of "
        f"{data.train.name} ({height}×{width}, patch {student.backbone.patch_size}), recipe {settings.recipe}, about "
        f"{format_duration(_expected_seconds(run))} for {settings.epochs} epochs."
        + (" For ImageNet: --dataset imagenet2012." if settings.dataset == "digits" else "")
    )


def dry_run(run):
    """Trains on one batch and prints parameters, images, steps, memory and the loss.

    Args:
        run: `Run`.

    Raises:
        DivergedError: If the loss is not finite.
    """
    data = run.data
    loss = float(run.model.train_on_batch(*data.first_batch(), return_dict=True)["loss"])
    check_finite_loss(loss, run.settings)
    steps = data.plan.num_batches
    print(f"Parameters: {run.student.count_params():,}")
    print(f"Images:     {len(data.train):,} to train, {len(data.test):,} to test")
    print(f"Steps:      {steps:,} an epoch, {steps * run.settings.epochs:,} in all")
    print(f"Memory:     {format_memory(peak_memory())} at most so far")
    print(f"Loss:       {loss:.4f} on the first batch")
    print(
        "Dry run: everything was built and one batch was trained on. Nothing was kept, except a teacher trained for the run."
    )


def train_run(run, resume=False):
    """Trains and evaluates a run, and writes the files of its output directory.

    Args:
        run: `Run`.
        resume: Whether to continue after the last whole epoch of the run in the output directory.

    Returns:
        The summary, a dictionary as in `summary.json`.

    Raises:
        DivergedError: If the loss or the weights are no longer finite. The directory then holds the student of the last
            whole epoch, if there is one, and a summary with `diverged`.
    """
    with GracefulStop() as stop:
        log, diverged = _fit(run, "student", stop, resume)
        summary = {"complete": False, "epochs": log.last_epoch, "student": None}
        if log.last_epoch or not diverged:
            summary |= _save_and_evaluate(run)
        curves = {"with a teacher" if run.settings.compare else "": log.rows}
        if run.settings.compare and not stop.interrupted and not diverged:
            plain = without_teacher(run)
            plain_log, diverged = _fit(plain, "without a teacher", stop, resume)
            curves["without a teacher"] = plain_log.rows
            if not diverged:
                summary["without_teacher"] = plain.evaluate()
    if diverged:
        summary["diverged"] = diverged.details
    summary |= {
        "complete": not stop.interrupted and not diverged,
        "teacher": {"accuracy": run.teacher_accuracy},
        "settings": _resolved_settings(run),
        "parameters": run.student.count_params(),
        "images_per_second": log.images_per_second,
        "waiting_for_data": log.waiting_for_data,
        "skipped": run.data.skipped,
        "seconds": log.total_seconds,
        "peak_memory_bytes": peak_memory(),
        "versions": run_directory.versions(),
    }
    run_directory.write_summary(summary, run.directory)  # before the steps below, any of which may fail
    if log.rows or not diverged:
        draw_curves({name: rows for name, rows in curves.items() if rows}, run.directory / "curves.png")
    if diverged:
        raise diverged
    if summary["complete"]:
        checkpoint.discard(run.directory)
        checkpoint.discard(run.directory / "without_teacher")
        if run.settings.export:
            summary["exports"] = _export(run)
            run_directory.write_summary(summary, run.directory)
    return summary


def _save_and_evaluate(run):
    """Saves the student and its moving average; returns the entries of the summary that describe them."""
    run_directory.save_student(run.student, run.directory)
    results = {"student": run.evaluate()}
    if run.settings.ema_decay is not None:
        with averaged(run.model):
            results["student_average"] = run.evaluate()
            run_directory.save_average(run.student, run.directory)
    return results


def _resolved_settings(run):
    """The settings as a dictionary, with the image size, patch size and alpha that the run chose."""
    student = run.student
    resolved = {"image_size": list(student.image_size), "patch_size": student.backbone.patch_size}
    if run.settings.distillation != "none":
        resolved["alpha"] = run.model.alpha
    return {**dataclasses.asdict(run.settings), **resolved}


def _fit(run, title, stop, resume):
    """Trains a run; returns its log, and the `DivergedError` that ended the training or None.

    After such an error, the model and the log are those of the last whole epoch, if there is one.
    """
    epochs, validation = run.settings.epochs, run.test_batches()
    log = TrainingLog(run.directory / "history.csv", run.settings.batch_size, run.timer)
    done = checkpoint.restore(run.model, run.directory, log) if resume else 0
    if done:
        print(f"{title}: resumed after epoch {done} of {epochs}.")
    if done == epochs:
        return log, None
    steps = run.data.plan.num_batches
    progress = Progress(title, epochs, steps, first_epoch=done)
    divergence = DivergenceStop(title, run.settings)
    callbacks = [stop, divergence, log, progress, checkpoint.EpochCheckpoint(run.directory, log)]
    if run.settings.ema_decay is not None:
        callbacks.append(KeepWeights())
    options = dict(epochs=epochs, initial_epoch=done, steps_per_epoch=steps, shuffle=False, verbose=0)
    explain_damage = run.cache.explain_damage if run.cache else contextlib.nullcontext
    try:
        with (
            contextlib.closing(progress),
            explain_unreadable_images(lambda: _images_in_use(run, log)),
            explain_damage(),
        ):
            batches = run.training_batches(epoch=done)
            run.model.fit(batches, validation_data=validation, callbacks=callbacks, **options)
    except DivergedError as error:
        checkpoint.restore_model(run.model, run.directory)
        return log, error
    return log, None


def _images_in_use(run, log):
    """The datasets that a run was reading, and the indices of the images that it may have read last."""
    plan, (epoch, batch) = run.data.plan, log.position
    if batch == plan.num_batches:
        yield run.data.test, None
    positions = plan.iter_from(epoch, batch)
    yield run.data.train, np.concatenate([plan.samples(*next(positions))[0] for _ in range(PREFETCHED)])


def _expected_seconds(run):
    """Estimates the training time from the time of the student's forward pass: a step takes about three times as long."""
    plan = run.data.plan
    images = np.zeros((plan.batch_size, *plan.image_size, 3), "float32")
    run.student.predict_on_batch(images)  # compiles
    began = time.perf_counter()
    run.student.predict_on_batch(images)
    forward = time.perf_counter() - began
    evaluation = len(run.data.test) / len(images)
    epochs_left = run.settings.epochs - checkpoint.epochs_done(run.directory)
    students = 2 if run.settings.compare else 1
    return forward * (3 * plan.num_batches + evaluation) * epochs_left * students


def _export(run):
    images = np.asarray(next(iter(run.test_batches()))[0][:COMPARED_IMAGES])
    reports = export(run.student, run.settings.export, run.directory, images, overwrite=True)
    for report in reports:
        print(report)
    return [dataclasses.asdict(report) for report in reports]
