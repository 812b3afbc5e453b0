"""Data, student, teacher and the model to fit, from the settings of a run."""

import dataclasses
import pathlib

import keras

from keras_deit import imagenet
from keras_deit.data import Batches, load
from keras_deit.distiller import Distiller
from keras_deit.models import DeiT, DeiTClassifier, find_preset, get_variant, is_weights, pretrained
from keras_deit.teacher import Teacher
from keras_deit.training.convnet import trained_convnet
from keras_deit.training.criterion import make_criterion
from keras_deit.training.optimizers import make_optimizer
from keras_deit.training.schedule import learning_rate_schedule
from keras_deit.training.settings import PRECISIONS
from keras_deit.training.strategy import check_batch_size

EVALUATION_BATCH = 128
MOST_PATCHES = 8  # a side, of small images


@dataclasses.dataclass
class Run:
    """Everything built and ready to train.

    Attributes:
        settings: `Settings`.
        directory: Output directory.
        num_replicas: Number of devices that share a batch.
        train, test: `ImageData` at the student's size.
        student: The `DeiT`.
        model: The compiled model to fit: a `Distiller`, or a `DeiTClassifier` where there is no teacher.
        teacher_accuracy: The teacher's accuracy on the test part, or None.
    """

    settings: object
    directory: pathlib.Path
    num_replicas: int
    train: object
    test: object
    student: DeiT | None = None
    model: keras.Model | None = None
    teacher_accuracy: float | None = None

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
        return Batches(self.test, EVALUATION_BATCH, multiple_of=self.num_replicas)

    def evaluate(self):
        """Evaluates on the test part.

        Returns:
            Dictionary of floats.
        """
        results = self.model.evaluate(self.test_batches(), verbose=0, return_dict=True)
        return {name: float(value) for name, value in results.items()}


def build(settings, directory, num_replicas=1):
    """Builds data, student, teacher (training a small one if none is given) and the model to fit.

    Args:
        settings: `Settings`.
        directory: Output directory.
        num_replicas: Number of devices that share a batch.

    Returns:
        A `Run`.

    Raises:
        ValueError: If the settings do not fit together.
    """
    check_batch_size(settings.batch_size, num_replicas)
    train, test = load(settings.dataset, "train"), load(settings.dataset, "test")
    image_size = settings.image_size or train.images.shape[1]
    run = Run(settings, directory, num_replicas, train.resized(image_size), test.resized(image_size))
    run.training_batches()  # raises if there are too few images, before anything long begins
    keras.utils.set_random_seed(settings.seed)
    run.student = _student(settings, run.train)
    if settings.distillation == "none":
        run.model = _plain(run)
    elif settings.teacher is None:
        convnet, run.teacher_accuracy = trained_convnet(train, test, num_replicas, settings.seed)
        run.model = _distiller(run, _normalised_as_student(convnet, image_size=train.images.shape[1:3]))
    else:
        run.model = _distiller(run, _given_teacher(settings, train.num_classes))
        run.teacher_accuracy = run.evaluate()["teacher_accuracy"]
        print(f"Teacher: {settings.teacher}, {run.teacher_accuracy:.1%} on the test part.")
    return run


def without_teacher(run):
    """The same run with a student of one token and no teacher, built anew.

    Args:
        run: `Run`.

    Returns:
        A `Run`.
    """
    keras.utils.set_random_seed(run.settings.seed)
    settings = dataclasses.replace(run.settings, distillation="none")
    plain = dataclasses.replace(run, directory=run.directory / "without_teacher", student=_student(settings, run.train))
    plain.model = _plain(plain)
    return plain


def suitable_patch_size(image_size, published):
    """The patch size for an image size: the published one where it leaves enough patches, else a smaller one.

    Args:
        image_size: Side of the image in pixels.
        published: The variant's own patch size.

    Returns:
        Side of a patch in pixels, a divisor of the image size.

    Example:

    >>> [suitable_patch_size(size, published=16) for size in (8, 28, 32, 224)]
    [4, 4, 4, 16]
    """
    if image_size % published == 0 and image_size >= MOST_PATCHES * published:
        return published
    largest = max(4, image_size // MOST_PATCHES)
    return max(side for side in range(1, largest + 1) if image_size % side == 0)


def _student(settings, data):
    image_size = data.images.shape[1]
    arguments = get_variant(settings.variant).arguments
    return DeiT.from_variant(
        settings.variant,
        num_classes=data.num_classes,
        image_size=image_size,
        patch_size=settings.patch_size or suitable_patch_size(image_size, arguments["patch_size"]),
        drop_path_rate=settings.drop_path_rate,
        dtype=PRECISIONS[settings.precision],
        distilled=arguments["distilled"] and settings.distillation != "none",
    )


def _given_teacher(settings, num_classes):
    preset_classes = len(imagenet.class_names())
    if find_preset(settings.teacher) and num_classes != preset_classes:  # before it is downloaded
        raise ValueError(
            f"The preset {settings.teacher!r} knows the {preset_classes:,} classes of ImageNet, and the dataset "
            f"{settings.dataset!r} has {num_classes}. Fine-tune it on them first, and give the `.keras` file that you save."
        )
    shown = {"value_range": settings.teacher_value_range, "mean": settings.teacher_mean, "std": settings.teacher_std}
    shown = {name: value for name, value in shown.items() if value is not None}
    options = {"image_size": settings.teacher_image_size, "outputs": settings.teacher_outputs or "logits"}
    model = settings.teacher
    if is_weights(model) or not pathlib.Path(model).exists():  # the latter's error names the nearest presets
        model = pretrained(model, fused=True)
        options["image_size"] = options["image_size"] or getattr(model, "image_size", None)
    return Teacher(model, **shown, **options) if shown else _normalised_as_student(model, **options)


def _normalised_as_student(model, **options):
    return Teacher(model, mean=imagenet.IMAGENET_MEAN, std=imagenet.IMAGENET_STD, **options)


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
    distiller.compile(_optimizer(run), loss=make_criterion(settings))
    return distiller


def _plain(run):
    classifier = DeiTClassifier(run.student)
    classifier.compile(_optimizer(run), loss=make_criterion(run.settings), weighted_metrics=["accuracy"])
    return classifier


def _optimizer(run):
    schedule = learning_rate_schedule(run.settings, run.training_batches().num_batches)
    return make_optimizer(run.settings, schedule, run.student.backbone.num_layers)
