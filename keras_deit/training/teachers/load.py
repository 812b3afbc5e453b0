"""Loading the teacher that the settings of a run name."""

import contextlib
import re
import shlex

from keras_deit.choices import REGNETY_VARIANTS
from keras_deit.data.sources.classes import MAX_LISTED
from keras_deit.imaging import imagenet
from keras_deit.models import find_preset, is_weights
from keras_deit.models.pretrained import find_keras_file, pretrained
from keras_deit.runtime.argument_names import replace_arguments
from keras_deit.runtime.files import user_path
from keras_deit.runtime.shorten import shorten
from keras_deit.teacher import STUDENT_SIZE_ADVICE, OutputShapeError, Teacher

TEACHER_ARGUMENTS = (
    "image_size",
    "mean",
    "std",
    "value_range",
    "outputs",
    "preprocessing",
    "same_classes",
)  # settings with the prefix teacher_


@contextlib.contextmanager
def naming_settings(class_names=()):
    """Names the settings of a run in the errors of `keras_deit.Teacher`, which name its arguments.

    Args:
        class_names: Names of the classes of the dataset, for the error about a teacher of another number of classes.

    Raises:
        ValueError: Instead of one that names `image_size`, with `teacher_image_size`, and the like.
    """

    def replace(name, value):
        if name not in TEACHER_ARGUMENTS:
            return None
        return f"`teacher_{name}`" if value is None else f"teacher_{name}={value}"

    try:
        yield
    except OutputShapeError as error:
        listed = shorten(class_names, MAX_LISTED)
        raise ValueError(
            f"The teacher's outputs must cover the dataset's {len(class_names)} classes: {listed}. Received: "
            f"shape={error.shape}. A misspelt folder or label makes a class of its own: give it the name of the "
            "class that is meant. If all these classes are meant, fine-tune the teacher on the dataset."
        ) from error
    except ValueError as error:
        text = re.sub(r"keras_deit\.Teacher\(model, (.+?)(?:, \.\.\.)?\)`", r"\1`", str(error))
        text = replace_arguments(text, replace)
        raise ValueError(text.replace(STUDENT_SIZE_ADVICE, f"{STUDENT_SIZE_ADVICE} (`image_size`)")) from error


def load_teacher(settings, num_classes):
    """Loads the teacher that the settings name.

    Args:
        settings: `Settings` with a `teacher`.
        num_classes: Number of classes of the student.

    Returns:
        A `keras_deit.Teacher`.

    Raises:
        ValueError: If there is no such teacher, or it has other classes.
    """
    preset_classes = len(imagenet.class_names())
    if find_preset(settings.teacher) and num_classes != preset_classes:  # found out before the download
        raise ValueError(
            f"The preset {settings.teacher!r} has the {preset_classes:,} classes of ImageNet, and the dataset "
            f"{settings.dataset!r} has {num_classes}. Fine-tune the preset on the dataset first, then pass "
            f"--teacher runs/teacher: {_fine_tuning_command(settings)}"
        )
    model = settings.teacher
    options = {
        "image_size": settings.teacher_image_size,
        "outputs": settings.teacher_outputs or "logits",
        "same_classes": settings.teacher_same_classes,
    }
    is_run = find_keras_file(model) not in (None, user_path(model))
    # A name that is no path goes to `pretrained` too, which names the nearest presets in its error.
    if is_weights(model) or is_run or not user_path(model).exists():
        model = pretrained(model, fused=True)
        options["image_size"] = options["image_size"] or getattr(model, "image_size", None)
    normalisation = {
        "value_range": settings.teacher_value_range,
        "mean": settings.teacher_mean,
        "std": settings.teacher_std,
        "preprocessing": settings.teacher_preprocessing,
    }
    normalisation = {name: value for name, value in normalisation.items() if value is not None}
    with naming_settings():
        teacher = Teacher(model, **normalisation, **options)
    if not normalisation and teacher.mean is None and teacher.num_channels != 1:  # without a record of its own
        teacher.mean, teacher.std = imagenet.IMAGENET_MEAN, imagenet.IMAGENET_STD
    return teacher


def _fine_tuning_command(settings):
    """The command that fine-tunes the preset that the settings name as a teacher."""
    preset = find_preset(settings.teacher)
    recipe = "transfer_convnet" if preset.variant in REGNETY_VARIANTS else "transfer"
    options = ["--variant", preset.variant, "--weights", settings.teacher, "--dataset", settings.dataset]
    return shlex.join(["keras-deit", "train", *options, "--recipe", recipe, "--output-dir", "runs/teacher"])


def teacher_of_student_images(model, **options):
    """Makes a teacher that takes images with the student's normalisation, that of ImageNet.

    Args:
        model: Keras model.
        **options: Further arguments of `keras_deit.Teacher`.

    Returns:
        A `keras_deit.Teacher`.
    """
    return Teacher(model, mean=imagenet.IMAGENET_MEAN, std=imagenet.IMAGENET_STD, **options)
