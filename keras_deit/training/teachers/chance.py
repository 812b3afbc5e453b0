"""Warnings about a teacher that is no better than chance: before it teaches, and at the end of its own run."""

import numpy as np

from keras_deit.distiller.chance import describe_chance
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.models.pretrained import STUDENT_FILE, find_keras_file
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.training.run_directory import BEST_FILE, read_summary
from keras_deit.training.teachers.load import TEACHER_ARGUMENTS

ENTRIES = {STUDENT_FILE: "student", BEST_FILE: "best_epoch"}  # of the summary of a run, about its files


def warn_if_teacher_at_chance(accuracy, data, settings, model):
    """Warns if the accuracy of the teacher of a run may be that of random predictions.

    Args:
        accuracy: Accuracy on a split, in 0..1.
        data: `LabelledImages` of the split.
        settings: `Settings` of the run.
        model: The model of the teacher.
    """
    described = _describe(accuracy, data)
    if described is None:
        return
    own = _accuracy_in_own_run(settings.teacher)
    if own is not None and _describe(own, data):
        advice = (
            f", and on {own:.1%} in its own run as well. Train the teacher longer, or train without it: "
            "`distillation='none'`."
        )
    elif settings.teacher is None or isinstance(getattr(model, "preprocessing", None), Preprocessing):
        advice = _advice_for_known(settings, own)
    else:
        advice = (
            ". Likely causes: the teacher takes pixels of another range (`teacher_value_range=(0, 255)`), with another "
            "normalisation (`teacher_mean`, `teacher_std`) or of another image size (`teacher_image_size`); its classes "
            "have another order than those of the dataset (`class_names` sets the order of the dataset); or it was trained "
            "too little. `keras-deit show-data --teacher` draws its predictions."
        )
    warn_caller(f"The teacher is {described}{advice}")


def warn_if_convnet_at_chance(accuracy, data):
    """Warns if the accuracy of a convnet, which shall become a teacher, may be that of random predictions.

    Args:
        accuracy: Accuracy on a split, in 0..1.
        data: `LabelledImages` of the split.
    """
    described = _describe(accuracy, data)
    if described is not None:
        warn_caller(
            f"The convnet is {described}. As a teacher it would not help a student. Train it for more `epochs`, or start "
            "from published `weights`."
        )


def _describe(accuracy, data):
    num_labelled = len(data) if data.labels is None else int((np.asarray(data.labels) >= 0).sum())
    return describe_chance(accuracy, data.num_classes, num_labelled)


def _accuracy_in_own_run(teacher):
    """The accuracy of a teacher at the end of the run that trained it; None if that is not known."""
    file = teacher and find_keras_file(teacher)
    if file is None or file.name not in ENTRIES:
        return None
    try:
        entry = read_summary(file.parent)[ENTRIES[file.name]]
    except (OSError, ValueError, KeyError):  # the file is of no run, or of one that was killed
        return None
    return entry and entry["accuracy"]


def _advice_for_known(settings, own):
    """The causes for a teacher that stores its normalisation, image size and class names."""
    given = [f"`teacher_{name}`" for name in TEACHER_ARGUMENTS if getattr(settings, f"teacher_{name}")]
    causes = [] if own is not None else ["it was trained too little"]
    causes.append("it was trained on other images or on much larger ones (`image_size`)")
    causes += [f"{' and '.join(given)} should be left out, because the model stores how it takes images"] * bool(given)
    known = "." if own is None else f", but on {own:.1%} in its own run."
    return f"{known} Likely causes: {'; or '.join(causes)}."
