"""A run of the main job, from its settings to its summary."""

import dataclasses
import pathlib
import time

import keras

from keras_deit import export
from keras_deit.data import Batches, FollowEpochs, load
from keras_deit.distiller import Distiller
from keras_deit.explain import draw_curves
from keras_deit.extras import require
from keras_deit.models import DeiT, DeiTClassifier, get_variant
from keras_deit.teacher import Teacher
from keras_deit.training import checkpoint, output
from keras_deit.training.convnet import trained_convnet
from keras_deit.training.history import GracefulStop, History, Progress, duration
from keras_deit.training.optimizer import make_optimizer
from keras_deit.training.settings import PRECISIONS
from keras_deit.training.strategy import check_batch_size, place

EVALUATION_BATCH = 128
INTERRUPTED = 130  # the exit status that shells give to Ctrl-C


@dataclasses.dataclass
class Run:
    """Everything built and ready to train.

    Attributes:
        settings: `Settings`.
        directory: Output directory.
        placement: `Placement` of the strategy.
        train, test: `ImageData` at the student's size.
        model: The compiled model to fit: a `Distiller`, or a `DeiTClassifier` where there is no teacher.
        student: The `DeiT` within.
        teacher_accuracy: The teacher's accuracy on the test part, or None.
    """

    settings: object
    directory: pathlib.Path
    placement: object
    train: object
    test: object
    model: keras.Model
    student: DeiT
    teacher_accuracy: float | None

    def training_batches(self, epoch=0):
        """Training batches beginning with the given epoch."""
        settings = self.settings
        return Batches(
            self.train,
            settings.batch_size,
            training=True,
            steps=settings.steps_per_epoch,
            seed=settings.seed,
            epoch=epoch,
        )

    def test_batches(self):
        """Every test image once."""
        return Batches(self.test, EVALUATION_BATCH, multiple_of=self.placement.num_replicas)


def check_ready(settings):
    """Finds out before anything long begins what would fail at its end.

    Args:
        settings: `Settings`.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If the variant or an export format is unknown.
    """
    get_variant(settings.variant)
    export.check_formats(settings.export)
    require("matplotlib.figure", extra="train", purpose="Drawing the curves")
    require("tomli_w", extra="train", purpose="Writing config.toml")
    require("tqdm", extra="train", purpose="The progress bar")


def build(settings, directory):
    """Builds data, student, teacher (training a small one if none is given) and the model to fit.

    Args:
        settings: `Settings`.
        directory: Output directory.

    Returns:
        A `Run`.

    Raises:
        ValueError: If the settings do not fit together.
    """
    placement = place(settings.strategy)
    check_batch_size(settings.batch_size, placement.num_replicas)
    train, test = load(settings.dataset, "train"), load(settings.dataset, "test")
    image_size = settings.image_size or train.images.shape[1]
    train, test = train.resized(image_size), test.resized(image_size)
    keras.utils.set_random_seed(settings.seed)
    with placement.scope:
        student = _student(settings, train, image_size, distilled=None if settings.distillation != "none" else False)
        run = Run(settings, directory, placement, train, test, None, student, None)
        if settings.distillation == "none":
            run.model = _plain(run, student)
        else:
            teacher, run.teacher_accuracy = _teacher(settings, run, image_size)
            run.model = _distiller(run, teacher)
    return run


def dry_run(run):
    """Runs one batch and prints parameters, memory and steps.

    Args:
        run: `Run`.
    """
    images, labels = run.training_batches()[0]
    with run.placement.scope:
        loss = run.model.train_on_batch(images, labels, return_dict=True)["loss"]
    steps = run.training_batches().num_batches
    print(f"Parameters: {run.student.count_params():,}")
    print(f"Images:     {len(run.train.labels):,} to train, {len(run.test.labels):,} to test")
    print(f"Steps:      {steps:,} an epoch, {steps * run.settings.epochs:,} in all")
    print(f"Memory:     {output.peak_memory() / 2**30:.2f} GiB at the most so far")
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
    began = time.perf_counter()
    with GracefulStop() as stop:
        histories = {
            "with a teacher" if run.settings.compare else "": _fit(run, "student", run.directory, stop, resume)
        }
        output.save_student(run.student, run.directory)
        results = {"student": _evaluate(run)}
        if run.settings.compare and not stop.interrupted:
            plain = _without_teacher(run)
            rows = _fit(plain, "without a teacher", run.directory / "without_teacher", stop, resume)
            histories["without a teacher"] = rows
            results["without_teacher"] = _evaluate(plain)
    draw_curves(
        {name: history.rows for name, history in histories.items() if history.rows}, run.directory / "curves.png"
    )
    history = next(iter(histories.values()))
    summary = {
        "complete": not stop.interrupted,
        "epochs": len(history.rows),
        **results,
        "teacher": {"accuracy": run.teacher_accuracy},
        "parameters": run.student.count_params(),
        "images_per_second": history.images_per_second,
        "seconds": time.perf_counter() - began,
        "peak_memory_bytes": output.peak_memory(),
        "versions": output.versions(),
    }
    if run.settings.export and not stop.interrupted:
        summary["exports"] = _export(run)
    output.write_summary(summary, run.directory)
    if not stop.interrupted:
        checkpoint.discard(run.directory)
        checkpoint.discard(run.directory / "without_teacher")
    return summary


def announce(run):
    """Prints what is about to be trained, on what, and for about how long."""
    settings, student = run.settings, run.student
    batches = run.training_batches()
    images, _ = batches[0]
    run.student.predict_on_batch(images)  # compiles
    began = time.perf_counter()
    run.student.predict_on_batch(images)
    forward = time.perf_counter() - began
    expected = 3 * forward * batches.num_batches * settings.epochs  # a step is about three times its forward pass
    height, width = student.image_size
    print(
        f"Student: {settings.variant} with {student.count_params():,} parameters on {len(run.train.labels):,} images of "
        f"{run.train.name} ({height}×{width}, patch {student.backbone.patch_size}), recipe {settings.recipe}, about "
        f"{duration(expected)} for {settings.epochs} epochs. For ImageNet: --dataset imagenet2012 (still to come)."
    )


def _student(settings, data, image_size, distilled):
    overrides = {} if distilled is None else {"distilled": distilled}
    return DeiT.from_variant(
        settings.variant,
        num_classes=data.num_classes,
        image_size=image_size,
        patch_size=settings.patch_size or max(1, image_size // 2),
        drop_path_rate=settings.drop_path_rate,
        dtype=PRECISIONS[settings.precision],
        **overrides,
    )


def _teacher(settings, run, image_size):
    if settings.teacher is None:
        return trained_convnet(run.train, run.test, image_size, run.placement.num_replicas, settings.seed)
    options = {
        "outputs": settings.teacher_outputs,
        "image_size": settings.teacher_image_size,
        "value_range": settings.teacher_value_range,
        "mean": settings.teacher_mean,
        "std": settings.teacher_std,
    }
    options = {name: value for name, value in options.items() if value is not None}
    return (Teacher(settings.teacher, **options) if options else Teacher.of_bare_model(settings.teacher)), None


def _distiller(run, teacher):
    settings = run.settings
    distiller = Distiller(
        run.student,
        teacher,
        distillation=settings.distillation,
        alpha=settings.alpha,
        temperature=settings.temperature,
        attention_weight=settings.attention_weight,
    )
    distiller.compile(_optimizer(run), loss=_criterion(settings))
    return distiller


def _plain(run, student):
    classifier = DeiTClassifier(student)
    classifier.compile(_optimizer(run), loss=_criterion(run.settings), weighted_metrics=["accuracy"])
    return classifier


def _without_teacher(run):
    keras.utils.set_random_seed(run.settings.seed)
    with run.placement.scope:
        student = _student(run.settings, run.train, run.student.image_size[0], distilled=False)
        return dataclasses.replace(run, student=student, model=_plain(run, student))


def _optimizer(run):
    return make_optimizer(run.settings, run.training_batches().num_batches)


def _criterion(settings):
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)


def _fit(run, title, directory, stop, resume):
    epochs = run.settings.epochs
    history = History(directory / "history.csv")
    done = checkpoint.restore(run.model, directory, history) if resume else 0
    if done:
        print(f"{title}: going on after epoch {done} of {epochs}.")
    batches = run.training_batches(epoch=done)
    history.images_per_epoch = batches.num_batches * run.settings.batch_size
    if done < epochs:
        progress = Progress(title, epochs, batches.num_batches, first_epoch=done)
        callbacks = [FollowEpochs(batches), stop, history, progress, checkpoint.EpochCheckpoint(directory, history)]
        run.model.fit(
            batches,
            epochs=epochs,
            initial_epoch=done,
            shuffle=False,
            validation_data=run.test_batches(),
            callbacks=callbacks,
            verbose=0,
        )
    return history


def _evaluate(run):
    results = run.model.evaluate(run.test_batches(), verbose=0, return_dict=True)
    return {name: float(value) for name, value in results.items()}


def _export(run):
    images = run.test_batches()[0][0][:8]
    reports = export.export(run.student, run.settings.export, run.directory, images, overwrite=True)
    for report in reports:
        print(report)
    return [dataclasses.asdict(report) for report in reports]
