"""A run, built and ready to train."""

import dataclasses
import functools
import pathlib

import keras
import numpy as np

from keras_deit.data.pipeline.input_stall_timer import InputStallTimer
from keras_deit.data.pipeline.teacher_cache import TeacherCache
from keras_deit.distiller import Distiller
from keras_deit.export.formats import check_model
from keras_deit.models import DeiTClassifier
from keras_deit.training.accumulation import accumulating
from keras_deit.training.convnet import make_convnet
from keras_deit.training.device_strategy import check_batch_size, has_mirrored_scope
from keras_deit.training.label_loss import make_criterion
from keras_deit.training.recipe_optimizer import make_optimizer, scaling_loss
from keras_deit.training.run_data import RunData, load_run_data
from keras_deit.training.schedule import learning_rate_schedule
from keras_deit.training.student import make_student
from keras_deit.training.teachers.chance import warn_if_teacher_at_chance
from keras_deit.training.teachers.convnet import trained_convnet
from keras_deit.training.teachers.digest import digest_of_model
from keras_deit.training.teachers.load import load_teacher, naming_settings, teacher_of_student_images
from keras_deit.training.teachers.stored_outputs import open_cache
from keras_deit.training.usable_images import load_images


@dataclasses.dataclass(frozen=True)
class Run:
    """A run, built and ready to train.

    Attributes:
        settings: `Settings`.
        directory: Output directory.
        num_replicas: Number of devices that share a batch.
        data: `RunData`.
        student: The `DeiT`, or the convnet of a run that fine-tunes a teacher.
        model: The compiled model to fit: a `Distiller`, a `DeiTClassifier` without a teacher, or the convnet itself.
        teacher_accuracy: Accuracy of the teacher on the test split, or None without a teacher.
        cache: `TeacherCache` whose outputs replace the teacher, or None.
        teacher_digest: Identity of the teacher, see `digest_of_model`; None without a teacher or for one without weights.
        timer: `InputStallTimer` of the training batches.
    """

    settings: object
    directory: pathlib.Path
    num_replicas: int
    data: RunData
    student: keras.Model
    model: keras.Model
    teacher_accuracy: float | None = None
    cache: TeacherCache | None = None
    teacher_digest: str | None = None
    timer: InputStallTimer = dataclasses.field(default_factory=InputStallTimer)

    @property
    def title(self):
        """What the trained model is called in the output of the run."""
        return "convnet" if self.settings.is_convnet else "student"

    def training_batches(self, epoch=0, step=0):
        """Makes training batches without an end, from the batch of a step of an epoch on; both count from 0."""
        teacher_outputs = functools.partial(self.cache.iter_from, epoch, step) if self.cache else None
        return self.data.training.training_batches(epoch, step, teacher_outputs=teacher_outputs, timer=self.timer)

    def build_metrics(self):
        """Builds loss and metrics before `fit`: a resumed run restores them, and `fit` may use up a batch for that."""
        if isinstance(self.model, Distiller) or has_mirrored_scope():  # where they are built, or `fit` loses no batch
            return
        rows = np.zeros((1, self.data.train.num_classes), "float32")
        self.model.compute_loss(None, rows, rows)
        self.model.compute_metrics(None, rows, rows)
        self.model.reset_metrics()

    def describe_batch(self, epoch, step):
        """Lists the descriptions of the images of a training batch of all processes, each once."""
        plan = self.data.plan.of_one_process()
        return [self.data.train.describe(index) for index in np.unique(plan.samples(epoch, step)[0])]

    def test_batches(self):
        """Makes batches that have every test image once."""
        return self.data.test_batches(self.num_replicas)

    def evaluate(self):
        """Evaluates the model on the test split; returns a dictionary of floats."""
        return self.data.evaluate(self.model, self.num_replicas)


def build_run(settings, directory, num_replicas=1, adapts_batch_size=False):
    """Builds data, student, teacher (a small convnet is trained if none is given) and the model to fit.

    Args:
        settings: `Settings`.
        directory: Output directory.
        num_replicas: Number of devices that share a batch.
        adapts_batch_size: Whether a batch size that is larger than the training split is replaced, which is said.

    Returns:
        A `Run`. Its settings have the batch size that is used.

    Raises:
        ValueError: If the settings do not fit together.
    """
    check_batch_size(settings.batch_size, num_replicas, settings.accumulate)
    _check_teacher_is_known(settings)
    data = load_run_data(settings, adapts_batch_size, num_replicas * settings.accumulate)
    settings = data.settings
    keras.utils.set_random_seed(settings.seed)
    student = make_convnet(settings, data) if settings.is_convnet else make_student(settings, data)
    check_model(student, settings.export)
    data = data.normalised_for(student.preprocessing)
    if settings.distillation == "none":
        return Run(settings, directory, num_replicas, data, student, _classifier(settings, data, student))
    teacher, accuracy = _teacher(settings, data, num_replicas)
    with naming_settings(data.train.class_names):
        model = _distiller(
            settings, data, student, teacher
        )  # checks the teacher before its outputs are computed for hours
    cache, digest = None, digest_of_model(teacher.model)
    if settings.teacher_cache:
        cache, accuracy = open_cache(
            settings, data, model.teacher, num_replicas
        )  # in the order of the student's classes
        model.teacher = None
    elif accuracy is None:
        accuracy = data.evaluate(model, num_replicas)["teacher_accuracy"]
        print(f"Teacher: {settings.teacher}, {accuracy:.1%} on the test split.")
    warn_if_teacher_at_chance(accuracy, data.test, settings, teacher.model)
    return Run(settings, directory, num_replicas, data, student, model, accuracy, cache, digest)


def without_teacher(run):
    """Builds the same run with a student of one token and no teacher.

    Args:
        run: `Run`.

    Returns:
        A `Run`.
    """
    keras.utils.set_random_seed(run.settings.seed)
    settings = dataclasses.replace(run.settings, distillation="none", teacher_cache=None)
    student = make_student(settings, run.data)
    model = _classifier(settings, run.data, student)
    directory = run.directory / "without_teacher"
    return Run(settings, directory, run.num_replicas, run.data, student, model, run.teacher_accuracy)


def _check_teacher_is_known(settings):
    if settings.distillation != "none" and settings.teacher is None and settings.dataset != "digits":
        raise ValueError(
            "Distillation needs a teacher: pass --teacher, or --distillation none to train on labels alone. (A run trains a "
            f"small convnet as its teacher only on the digits. Received: dataset={settings.dataset!r})"
        )


def _teacher(settings, data, num_replicas):
    """The teacher, and its accuracy on the test split if it is known already."""
    if settings.teacher is not None:
        return load_teacher(settings, data.train.num_classes), None
    train, test = (load_images(settings, split).data for split in ("train", "test"))  # at their original size
    convnet, accuracy = trained_convnet(train, test, num_replicas, settings.seed)
    return teacher_of_student_images(convnet, image_size=train.image_size), accuracy


def _distiller(settings, data, student, teacher):
    distiller = accumulating(Distiller, settings.accumulate)(
        student,
        teacher,
        distillation=settings.distillation,
        alpha=settings.alpha,
        temperature=settings.temperature,
        attention_weight=settings.attention_weight,
        image_mean=data.mean,
        image_std=data.std,
        multi_label=False,  # the binary loss of DeiT III is one on images of one class
    )
    distiller.questions_teacher = False  # the run does so itself, and names its settings
    distiller.compile(_optimizer(settings, data, student), loss=make_criterion(settings))
    return distiller


def _classifier(settings, data, student):
    classifier = student if settings.is_convnet else accumulating(DeiTClassifier, settings.accumulate)(student)
    optimizer = _optimizer(settings, data, student)
    classifier.compile(optimizer, loss=make_criterion(settings), weighted_metrics=["accuracy"])
    return classifier


def _optimizer(settings, data, student):
    schedule = learning_rate_schedule(settings, data.plan.num_batches)
    num_layers = None if settings.is_convnet else student.backbone.num_layers
    optimizer = make_optimizer(settings, schedule, num_layers)
    return scaling_loss(optimizer, settings.precision, skips=settings.on_nan == "skip")
