"""A run of the main job, from its settings to its summary."""

import dataclasses
import time

import numpy as np

from keras_deit.explain import draw_curves
from keras_deit.export.formats import check_formats, export
from keras_deit.models import get_variant
from keras_deit.runtime.optional import require
from keras_deit.training import checkpoint, output
from keras_deit.training.averaging import KeepWeights, averaged
from keras_deit.training.build import without_teacher
from keras_deit.training.history import GracefulStop, History, Progress, duration
from keras_deit.training.images import explain_unreadable_images
from keras_deit.training.report import memory_in_words
from keras_deit.training.strategy import peak_memory

MADE_AHEAD = 4  # batches that may be made beyond the one that is trained on
COMPARED_IMAGES = 64  # of the test part, between the student and its exports


def check_ready(settings):
    """Finds out before anything long begins what would fail at its end.

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
    """Prints what is about to be trained, on what, and for about how long."""
    settings, student = run.settings, run.student
    height, width = student.image_size
    print(
        f"Student: {settings.variant} with {student.count_params():,} parameters on {len(run.train):,} images of "
        f"{run.train.name} ({height}×{width}, patch {student.backbone.patch_size}), recipe {settings.recipe}, about "
        f"{duration(_expected_seconds(run))} for {settings.epochs} epochs. For ImageNet: --dataset imagenet2012."
    )


def dry_run(run):
    """Runs one batch and prints parameters, memory and steps.

    Args:
        run: `Run`.
    """
    loss = run.model.train_on_batch(*run.first_batch(), return_dict=True)["loss"]
    steps = run.plan.num_batches
    print(f"Parameters: {run.student.count_params():,}")
    print(f"Images:     {len(run.train):,} to train, {len(run.test):,} to test")
    print(f"Steps:      {steps:,} an epoch, {steps * run.settings.epochs:,} in all")
    print(f"Memory:     {memory_in_words(peak_memory())} at the most so far")
    print(f"Loss:       {float(loss):.4f} on the first batch")
    print("Dry run: everything was built and one batch was run; nothing was kept but a teacher trained for it.")


def train(run, resume=False):
    """Trains, evaluates, and writes what the output directory holds.

    Args:
        run: `Run`.
        resume: Whether to go on from the last whole epoch.

    Returns:
        The summary, a dictionary as in `summary.json`.
    """
    with GracefulStop() as stop:
        history = _fit(run, "student", stop, resume)
        output.save_student(run.student, run.directory)
        summary = {"complete": False, "epochs": history.last_epoch, "student": run.evaluate()}
        if run.settings.ema_decay is not None:
            with averaged(run.model):
                summary["student_average"] = run.evaluate()
                output.save_average(run.student, run.directory)
        curves = {"with a teacher" if run.settings.compare else "": history.rows}
        if run.settings.compare and not stop.interrupted:
            plain = without_teacher(run)
            curves["without a teacher"] = _fit(plain, "without a teacher", stop, resume).rows
            summary["without_teacher"] = plain.evaluate()
    summary |= {
        "complete": not stop.interrupted,
        "teacher": {"accuracy": run.teacher_accuracy},
        "settings": _resolved_settings(run),
        "parameters": run.student.count_params(),
        "images_per_second": history.images_per_second,
        "waiting_for_data": history.waiting_for_data,
        "skipped": run.skipped,
        "seconds": history.total_seconds,
        "peak_memory_bytes": peak_memory(),
        "versions": output.versions(),
    }
    output.write_summary(summary, run.directory)  # whatever happens to what comes now
    draw_curves({name: rows for name, rows in curves.items() if rows}, run.directory / "curves.png")
    if summary["complete"]:
        checkpoint.discard(run.directory)
        checkpoint.discard(run.directory / "without_teacher")
        if run.settings.export:
            summary["exports"] = _export(run)
            output.write_summary(summary, run.directory)
    return summary


def _resolved_settings(run):
    """The settings of a run as a dictionary, with what was left to the code filled in."""
    student = run.student
    resolved = {"image_size": list(student.image_size), "patch_size": student.backbone.patch_size}
    if run.settings.distillation != "none":
        resolved["alpha"] = run.model.alpha
    return {**dataclasses.asdict(run.settings), **resolved}


def _fit(run, title, stop, resume):
    epochs, validation = run.settings.epochs, run.test_batches()
    history = History(run.directory / "history.csv", run.settings.batch_size, run.waiting)
    done = checkpoint.restore(run.model, run.directory, history) if resume else 0
    if done:
        print(f"{title}: going on after epoch {done} of {epochs}.")
    if done < epochs:
        steps = run.plan.num_batches
        progress = Progress(title, epochs, steps, first_epoch=done)
        callbacks = [stop, history, progress, checkpoint.EpochCheckpoint(run.directory, history)]
        if run.settings.ema_decay is not None:
            callbacks.append(KeepWeights())
        schedule = dict(epochs=epochs, initial_epoch=done, steps_per_epoch=steps, shuffle=False)
        batches = run.training_batches(epoch=done)
        with explain_unreadable_images(lambda: _at_hand(run, history)):
            run.model.fit(batches, validation_data=validation, callbacks=callbacks, verbose=0, **schedule)
    return history


def _at_hand(run, history):
    """The images that a run was reading, and the indices of those that may be at fault."""
    plan, (epoch, batch) = run.plan, history.place
    if batch == plan.num_batches:
        yield run.test, None
    place = epoch * plan.num_batches + batch
    following = (divmod(batch, plan.num_batches) for batch in range(place, place + MADE_AHEAD))
    yield run.train, np.concatenate([plan.views(*batch)[0] for batch in following])


def _expected_seconds(run):
    """From the time of the student's forward pass. A step takes about three times as long."""
    images = np.zeros((run.plan.batch_size, *run.image_size, 3), "float32")
    run.student.predict_on_batch(images)  # compiles
    began = time.perf_counter()
    run.student.predict_on_batch(images)
    forward = time.perf_counter() - began
    evaluation = len(run.test) / len(images)
    epochs_left = run.settings.epochs - checkpoint.epochs_done(run.directory)
    students = 2 if run.settings.compare else 1
    return forward * (3 * run.plan.num_batches + evaluation) * epochs_left * students


def _export(run):
    images = np.asarray(next(iter(run.test_batches()))[0][:COMPARED_IMAGES])
    reports = export(run.student, run.settings.export, run.directory, images, overwrite=True)
    for report in reports:
        print(report)
    return [dataclasses.asdict(report) for report in reports]
