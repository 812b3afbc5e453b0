"""The report of a run, `report.html`: written when the run ends, or again later."""

import dataclasses
import shlex
import time

from keras_deit.evaluation.evaluate import UnlabelledError
from keras_deit.evaluation.heads import first_outputs
from keras_deit.evaluation.prepared_images import preparation_of
from keras_deit.models import DeiT, DeiTClassifier
from keras_deit.report.findings import Examiner
from keras_deit.report.page import Report
from keras_deit.report.pixels import shown_attention
from keras_deit.runtime import processes
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.command import COMMAND, command_line_of
from keras_deit.runtime.printing import format_duration
from keras_deit.training import run_directory
from keras_deit.training.log import read_history
from keras_deit.training.teachers.convnet import cached_convnet
from keras_deit.training.teachers.load import load_teacher, teacher_of_student_images
from keras_deit.training.teachers.stored_outputs import TeacherPredictor
from keras_deit.training.usable_images import explain_unreadable_images

MAX_IMAGES = 2_000  # of the test split that are predicted when a run ends
TOLERANCE = 0.005  # between two measurements of the accuracy of a teacher
INTERRUPTED = "The run was interrupted, so its student was not examined on test images."
DIVERGED = "The training diverged, so its student was not examined on test images."
NOT_EXAMINED = "The student could not be examined on test images"
UNLABELLED = "No test image has a label, so the mistakes are not known."
STORED = "The run used stored outputs of its teacher, so the teacher's predictions of the test images are missing here."
NO_TEACHER = "The teacher could not be loaded, so its predictions are missing"


def write_at_end(run, summary, history):
    """Writes the report of a run that ends. If that fails, a warning says why: all other files are written already.

    Args:
        run: `Run`; of several processes, process 0 writes.
        summary: Dictionary as in `summary.json`.
        history: Rows of `history.csv`.
    """
    processes.only_main(lambda: _write_or_warn(run, summary, history))


def write_again(directory, settings, student, data, **options):
    """Writes the report of a run that has ended.

    Args:
        directory: `pathlib.Path` of the run.
        settings: `Settings` of the run.
        student: The student of the run, or the `DeiTClassifier` around it.
        data: `keras_deit.data.LabelledImages`, the test split.
        **options: Further arguments of `keras_deit.evaluation.evaluate.Evaluator`.

    Returns:
        The `pathlib.Path` of the file, and the `keras_deit.evaluation.evaluation.Evaluation`; None without labels.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If the images cannot be used.
    """
    summary, history = run_directory.read_summary(directory), read_history(directory / "history.csv")
    try:
        teacher, notes = _teacher_of(settings, student, data, options), []
    except (ValueError, ImportError, OSError) as error:
        teacher, notes = None, [f"{NO_TEACHER}: {error}"]
        warn_caller(notes[0])
    report = _report(directory, summary, history, student, data, teacher, notes, **options)
    evaluation = None if report.findings is None else report.findings.evaluation
    differing = evaluation and _other_teacher(
        evaluation.accuracies.get("teacher_accuracy"), summary["teacher"]["accuracy"]
    )
    if differing:
        warn_caller(differing)
        report = dataclasses.replace(report, notes=(*report.notes, differing))
    return report.write(), evaluation


def _write_or_warn(run, summary, history):
    began = time.perf_counter()
    try:
        path = _report_at_end(run, summary, history).write()
    except (Exception, KeyboardInterrupt) as error:  # a run that is complete stays so if a signal ends the report
        _warn(f"The report of the run could not be written ({_cause(error)}).", run.directory)
    else:
        print(f"Report: {path}, written in {format_duration(time.perf_counter() - began)}.")


def _warn(text, directory):
    warn_caller(f"{text} Try again: {shlex.join(_again(directory))}")


def _cause(error):
    """Describes an exception in one line."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted by a signal"
    return " ".join(f"{type(error).__name__}: {error}".split())


def _report_at_end(run, summary, history):
    if not summary["complete"]:
        return _bare_report(run, summary, history, DIVERGED if "diverged" in summary else INTERRUPTED)
    teacher = getattr(run.model, "teacher", None)
    function = None if teacher is None else _batch_function(teacher, run.data.mean, run.data.std)
    notes = [STORED] if run.cache else []
    options = {"pipeline": run.settings.pipeline, "num_workers": run.settings.num_workers, "max_images": MAX_IMAGES}
    try:
        with processes.alone():
            student = run_directory.load_student(run.directory) if processes.is_distributed() else run.student
            return _report(run.directory, summary, history, student, run.data.test, function, notes, **options)
    except Exception as error:
        note = f"{NOT_EXAMINED} ({_cause(error)})."
        _warn(note, run.directory)
        return _bare_report(run, summary, history, *notes, note)


def _bare_report(run, summary, history, *notes):
    """Composes a report without test images."""
    return Report(run.directory, summary, history, _commands(run.directory, summary), notes=notes)


def _report(directory, summary, history, student, data, teacher, notes, **options):
    """Composes a report; `teacher` is a function of a batch of images, or None."""
    findings, notes = None, list(notes)
    try:
        findings = _findings(Examiner(student, data, teacher=teacher, **options))
    except UnlabelledError:
        notes.append(UNLABELLED)
    attention = shown_attention(student, data) if isinstance(student, (DeiT, DeiTClassifier)) else ()
    commands = _commands(directory, summary)
    return Report(directory, summary, history, commands, findings, tuple(attention), tuple(notes))


def _findings(examiner):
    evaluator = examiner.evaluator
    with explain_unreadable_images(lambda: [(evaluator.data, evaluator.images_in_use)]):
        return examiner.findings()


def _teacher_of(settings, student, data, options):
    """A function of a batch of images to the logits of the run's teacher in the order of the student's classes, or None.

    `options` are the arguments of the `Evaluator` that prepares the images.
    """
    if settings.distillation == "none":
        return None
    if settings.teacher is None:
        teacher = teacher_of_student_images(cached_convnet(data), image_size=data.image_size)
    else:
        teacher = load_teacher(settings, student.num_classes)
    preparation = preparation_of(student, overrides={key: options[key] for key in ("mean", "std") if key in options})
    return _batch_function(teacher.match_classes(student.class_names), preparation["mean"], preparation["std"])


def _other_teacher(found, expected):
    """A sentence if the accuracies of the teacher that was loaded and of the run's differ; None if they do not."""
    if found is None or expected is None or abs(found - expected) <= TOLERANCE:
        return None
    return (
        f"The teacher that was loaded has an accuracy of {found:.2%}, and the teacher of the run had {expected:.2%} on the "
        "test split: the teacher or the images have changed."
    )


def _batch_function(teacher, mean, std):
    """A function of a batch of images, normalised by `mean` and `std`, to the logits of a teacher."""
    predictor = TeacherPredictor(teacher, mean, std)
    if processes.is_distributed():
        return predictor.batch_function()
    return lambda images: first_outputs(predictor.predict_on_batch(images), len(images))


def _commands(directory, summary):
    """The commands that go on from a run, with what they do."""
    directory, train = directory.absolute(), command_line_of("train")
    lines = {"Repeat the run in a new directory": [*train, "--config", str(directory / run_directory.CONFIG)]}
    if summary["complete"]:
        lines["Write this page again, with all test images"] = _again(directory)
        hub = ["--output", "hub", "--model-card"]
        lines["Prepare the student for the Hugging Face hub"] = [COMMAND, "convert", "--weights", str(directory), *hub]
    else:
        lines["Resume the run"] = [*train, "--output-dir", str(directory), "--resume"]
    backend = summary["versions"]["backend"]
    return {what: f"KERAS_BACKEND={backend} {shlex.join(line)}" for what, line in lines.items()}


def _again(directory):
    return [COMMAND, "evaluate", "--weights", str(directory), "--report"]
