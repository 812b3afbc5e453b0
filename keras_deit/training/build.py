"""Data, student, teacher and the model to fit, from the settings of a run."""

import dataclasses
import functools
import pathlib
import tempfile

import keras
import numpy as np

from keras_deit.data import Augmentation, ImageData, InputPipeline, InputStallTimer, SamplingPlan, TeacherCache
from keras_deit.distiller import Distiller
from keras_deit.imaging import imagenet
from keras_deit.imaging.sizes import height_and_width
from keras_deit.models import DeiT, DeiTClassifier, find_preset, get_variant, is_weights, pretrained
from keras_deit.teacher import Teacher
from keras_deit.training.convnet import trained_convnet
from keras_deit.training.criterion import make_criterion
from keras_deit.training.images import explain_unreadable_images, load_images
from keras_deit.training.optimizer import make_optimizer
from keras_deit.training.schedule import learning_rate_schedule
from keras_deit.training.settings import PRECISIONS
from keras_deit.training.strategy import check_batch_size
from keras_deit.training.teacher_cache import open_cache
from keras_deit.weights import to_timm

EVALUATION_BATCH = 128
USUAL_SIZE = 224  # of variants that do not say theirs
MOST_PATCHES = 8  # a side, of small images


@dataclasses.dataclass
class Run:
    """Everything built and ready to train.

    Attributes:
        settings: `Settings`.
        directory: Output directory.
        num_replicas: Number of devices that share a batch.
        train, test: Labelled images.
        skipped: What was left out of them, by part: see `load_images`.
        image_size: `(height, width)` of the student.
        waiting: `InputStallTimer`, the time that training waits for data.
        student: The `DeiT`.
        model: The compiled model to fit: a `Distiller`, or a `DeiTClassifier` where there is no teacher.
        teacher_accuracy: The teacher's accuracy on the test part, or None.
        cache: `TeacherCache` that is asked instead of the teacher, or None.
    """

    settings: object
    directory: pathlib.Path
    num_replicas: int
    train: object
    test: object
    skipped: dict
    image_size: tuple
    waiting: InputStallTimer = dataclasses.field(default_factory=InputStallTimer)
    student: DeiT | None = None
    model: keras.Model | None = None
    teacher_accuracy: float | None = None
    cache: TeacherCache | None = None

    @property
    def plan(self):
        """The `SamplingPlan` of the training batches."""
        settings = self.settings
        size = (len(self.train), settings.batch_size, self.image_size)
        return SamplingPlan(*size, Augmentation.of(settings), settings.seed, settings.steps_per_epoch)

    def training_batches(self, epoch=0):
        """Training batches without an end, beginning with the given epoch; `plan.num_batches` are one."""
        answers = functools.partial(self.cache.following, epoch) if self.cache else None
        return self.feed(self.train).training(self.plan, self.waiting, epoch, answers=answers)

    def first_batch(self, epoch=0):
        """What `fit` is fed with first in an epoch, as arrays."""
        with explain_unreadable_images(lambda: [(self.train, self.plan.views(epoch, 0)[0])]):
            return keras.tree.map_structure(np.asarray, next(iter(self.training_batches(epoch))))

    def test_batches(self):
        """Every test image once."""
        return self.feed(self.test).evaluation(EVALUATION_BATCH, multiple_of=self.num_replicas)

    def feed(self, data):
        """The `InputPipeline` of some images."""
        settings = self.settings
        options = {name: getattr(settings, name) for name in ("crop_ratio", "pipeline", "num_workers")}
        return InputPipeline(data, self.image_size, augmentation=settings.augmentation_layers, **options)

    def evaluate(self):
        """Evaluates on the test part.

        Returns:
            Dictionary of floats.
        """
        return self.evaluate_model(self.model)

    def evaluate_model(self, model):
        """The same of another model that takes the student's images."""
        with explain_unreadable_images(lambda: [(self.test, None)]):
            results = model.evaluate(self.test_batches(), verbose=0, return_dict=True)
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
    if settings.distillation != "none" and settings.teacher is None and settings.dataset != "digits":
        raise ValueError(
            f"Which teacher? The convnet that a run trains by itself is for the digits, and this is {settings.dataset!r}. "
            "Pass --teacher, or --distillation none for labels alone."
        )
    run = build_data(settings, directory, num_replicas)
    keras.utils.set_random_seed(settings.seed)
    run.student = _student(run)
    if settings.distillation == "none":
        run.model = _plain(run)
    elif settings.teacher is None:
        train, test = (load_images(settings, split)[0] for split in ("train", "test"))  # at their own size
        convnet, run.teacher_accuracy = trained_convnet(train, test, num_replicas, settings.seed)
        _teach(run, _normalised_as_student(convnet, image_size=train.images.shape[1:3]))
    else:
        _teach(run, load_teacher(settings, run.train.num_classes))
    return run


def build_data(settings, directory=None, num_replicas=1):
    """Loads the images of a run and plans its batches; arguments, returns and raises as those of `build`.

    The `Run` has neither student nor model yet.
    """
    (train, skipped), (test, skipped_in_test) = (load_images(settings, split) for split in ("train", "test"))
    image_size = settings.image_size or _usual_size(settings, train)
    data = [_sized(data, image_size, settings.crop_scale) for data in (train, test)]
    skipped = {"train": skipped, "test": skipped_in_test}
    run = Run(settings, directory, num_replicas, *data, skipped, height_and_width(image_size))
    (run.plan.with_crops_alone() if settings.augmentation_layers else run.plan).check()  # before anything long begins
    if settings.augmentation_layers:
        run.first_batch()  # which shows whether the layers can make one
    if settings.distillation == "none" or settings.compare:
        unlabelled = int((np.asarray(getattr(run.train, "labels", 0)) < 0).sum())
        if unlabelled:
            raise ValueError(
                f"{unlabelled} training images have no label, which only a teacher can make up for: pass --teacher."
            )
    return run


def without_teacher(run):
    """The same run with a student of one token and no teacher, built anew.

    Args:
        run: `Run`.

    Returns:
        A `Run`.
    """
    keras.utils.set_random_seed(run.settings.seed)
    settings = dataclasses.replace(run.settings, distillation="none", teacher_cache=None)
    plain = dataclasses.replace(run, settings=settings, directory=run.directory / "without_teacher")
    plain.waiting, plain.cache = InputStallTimer(), None
    plain.student = _student(plain)
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


def _usual_size(settings, data):
    if isinstance(data, ImageData):
        return data.images.shape[1]
    return get_variant(settings.variant).arguments.get("image_size", USUAL_SIZE)


def _sized(data, image_size, crop_scale):
    """Images in memory that are only resized: once, and not whenever they are asked for."""
    return data.resized(image_size) if isinstance(data, ImageData) and crop_scale is None else data


def _teach(run, teacher):
    """Makes the model to fit, with the teacher or with its stored answers."""
    settings = run.settings
    run.model = _distiller(run, teacher)  # which looks at the teacher before it is asked for hours
    if settings.teacher_cache:
        run.cache, run.teacher_accuracy = open_cache(run, teacher)
        run.model.teacher = None
        return
    if run.teacher_accuracy is None:
        run.teacher_accuracy = run.evaluate()["teacher_accuracy"]
        print(f"Teacher: {settings.teacher}, {run.teacher_accuracy:.1%} on the test part.")


def _student(run):
    settings = run.settings
    arguments = get_variant(settings.variant).arguments
    options = dict(
        num_classes=run.train.num_classes,
        class_names=run.train.class_names,
        image_size=run.image_size,
        drop_path_rate=settings.drop_path_rate,
        dtype=PRECISIONS[settings.precision],
        distilled=arguments["distilled"] and settings.distillation != "none",
    )
    if settings.weights:
        return _from_weights(settings, options)
    patch_size = settings.patch_size or suitable_patch_size(run.image_size[0], arguments["patch_size"])
    return DeiT.from_variant(settings.variant, patch_size=patch_size, **options)


def _from_weights(settings, options):
    if settings.patch_size:
        raise ValueError(f"The patch size is that of the weights. Received: patch_size={settings.patch_size}")
    if not settings.weights.endswith(".keras"):
        return DeiT.from_preset(settings.weights, variant=settings.variant, **options)
    with tempfile.TemporaryDirectory() as directory:  # the weights alone, by way of the names that all others have
        file = pathlib.Path(directory) / "model.safetensors"
        to_timm(pretrained(settings.weights), file)
        return DeiT.from_preset(file, **options)


def load_teacher(settings, num_classes):
    """The teacher that the settings name.

    Args:
        settings: `Settings`.
        num_classes: The student's.

    Returns:
        A `Teacher`.

    Raises:
        ValueError: If there is none of that name, or it is for other classes.
    """
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
    schedule = learning_rate_schedule(run.settings, run.plan.num_batches)
    return make_optimizer(run.settings, schedule, run.student.backbone.num_layers)
