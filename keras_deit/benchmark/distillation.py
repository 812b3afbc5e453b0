"""The steps of distillation that are timed: the whole step, and its two parts alone."""

from keras_deit.benchmark.setting import NUM_CLASSES
from keras_deit.benchmark.steps import cross_entropy, fit_step, forward_step
from keras_deit.distiller import Distiller
from keras_deit.models import DeiT, RegNetY

PARTS = STEP, STUDENT, TEACHER = "distillation step", "student's step", "teacher's forward"


def distillation_step(setting, compiled=False):
    """Makes the step of a `Distiller` with hard distillation, AdamW and a live teacher.

    Args:
        setting: A `Setting` of distillation.
        compiled: As for `keras_deit.benchmark.steps.keras_step`.

    Returns:
        A step, see `keras_deit.benchmark.steps.fit_step`.
    """
    distiller = Distiller(_student(setting), _teacher(setting))
    return fit_step(distiller, *setting.random_batch(), cross_entropy(), compiled)


def student_step(setting, compiled=False):
    """Makes the training step of the student without a teacher: the same labels for each head, and the same optimizer."""
    student = _student(setting)
    images, labels = setting.random_batch()
    losses = {head: cross_entropy() for head in student.output}
    return fit_step(student, images, dict.fromkeys(losses, labels), losses, compiled)


def teacher_step(setting, compiled=False):
    """Makes the forward pass of the teacher alone."""
    images, _ = setting.random_batch()
    return forward_step(_teacher(setting), images, compiled)


def _student(setting):
    return DeiT(num_classes=NUM_CLASSES, dtype=setting.policy, **setting.architecture)


def _teacher(setting):
    return RegNetY.from_variant(setting.teacher, num_classes=NUM_CLASSES, dtype=setting.policy)
