"""The classifiers that are compared: a teacher, the heads of a DeiT, and others."""

import dataclasses

import keras

from keras_deit.explain.forward import BATCH_SIZE, BatchFunction, image_batches
from keras_deit.fusion import EARLY_FUSIONS, MEANS, fuse
from keras_deit.imaging.class_names import match_classes
from keras_deit.imaging.normalisation import check_normalisation
from keras_deit.imaging.pixel_range import check_normalized
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.models.classifier import DeiTClassifier
from keras_deit.models.deit import DeiT
from keras_deit.runtime.shorten import shorten
from keras_deit.teacher import Teacher

TEACHER, STUDENT = "teacher", "student"
HEADS = CLASS, DISTILLATION, FUSED = "class", "distillation", "fused"


@dataclasses.dataclass(frozen=True)
class Head:
    """One head of a `DeiT`, or the fusion of both, as a classifier for `disagreement`.

    Attributes:
        deit: `DeiT`.
        name: `"class"`, `"distillation"` or `"fused"`.
        fusion: How `"fused"` fuses the heads, see `keras_deit.fusion.fuse`.

    Raises:
        ValueError: If `deit` is no `DeiT` or lacks the head.
    """

    deit: DeiT
    name: str
    fusion: str = "mean_logits"

    def __post_init__(self):
        if not isinstance(self.deit, DeiT):
            raise ValueError(f"`deit` must be a keras_deit.DeiT. Received: {type(self.deit).__name__}")
        heads = HEADS if self.deit.distilled else (CLASS, FUSED)
        if self.name not in heads:
            raise ValueError(f"`name` must be one of {heads}, for this model. Received: name={self.name!r}")

    def logits(self, outputs):
        """Returns the logits of the head.

        Args:
            outputs: What the `DeiT` returns.
        """
        return (
            fuse(outputs[CLASS], outputs.get(DISTILLATION), self.fusion) if self.name == FUSED else outputs[self.name]
        )


def student_and_teacher(student, teacher=None):
    """Lists the classifiers of the paper's table of disagreements: the teacher, each head of the student, and the fusion.

    Args:
        student: A `DeiT` or a `DeiTClassifier`, or a `Distiller`, whose teacher is taken if `teacher` is None.
        teacher: A `keras_deit.Teacher`, or any other classifier that `disagreement` takes; None means that the teacher is
            left out.

    Returns:
        Dictionary for `disagreement` with the keys `"teacher"`, `"class"`, `"distillation"` and `"fused"`. A student with
        one token, or a `DeiTClassifier` whose prediction is not made from both heads, has `"student"` in place of the last
        three.

    Example:

    >>> import keras_deit as kd
    >>> student = kd.DeiT.from_variant("deit_ti", num_layers=1, image_size=32, patch_size=8, num_classes=10)
    >>> list(student_and_teacher(student))
    ['class', 'distillation', 'fused']
    """
    teacher = getattr(student, "teacher", None) if teacher is None else teacher
    student = getattr(student, "student", student)
    of_teacher = {} if teacher is None else {TEACHER: teacher}
    fused = as_classifier(student)
    if not (isinstance(fused, Head) and fused.deit.distilled and fused.fusion in MEANS):
        return {**of_teacher, "student": student}
    heads = {name: Head(fused.deit, name) for name in (CLASS, DISTILLATION)}
    return {**of_teacher, **heads, FUSED: fused}


def as_classifier(model):
    """Takes a DeiT, or a classifier that fuses the logits of its heads, as the fusion of these.

    Args:
        model: A classifier that `keras_deit.explain.disagreement` takes, or a `Distiller`, which stands for its student.

    Returns:
        A `Head`, or the model itself if it is another one.
    """
    model = getattr(model, "student", model)
    if isinstance(model, DeiT):
        return Head(model, FUSED)
    if isinstance(model, DeiTClassifier) and model.fusion in EARLY_FUSIONS and not model.token_merging:
        return Head(model.deit, FUSED, model.fusion)
    return model


def predict_batches(models, dataset, image_mean=None, image_std=None):
    """Predicts the images of a dataset with several classifiers. The heads of a DeiT are computed together.

    Args:
        models: Dictionary from names to what `as_classifier` returns.
        dataset, image_mean, image_std: See `keras_deit.explain.disagreement`.

    Yields:
        For each batch, a dictionary from the names to the outputs, arrays `(batch, classes)` with the classes in the same
        order.

    Raises:
        ValueError: If the classifiers have classes of other names, or give an image several classes.
    """
    normalisation = _normalisation(models, image_mean, image_std)
    class_names = next((names for names in map(_class_names, models.values()) if names is not None), None)
    functions, readers = {}, {}
    for name, model in models.items():
        if getattr(_keras_model(model), "multi_label", False):
            raise ValueError(
                f"Disagreement is for models that give an image one class. Received: {name!r} with `multi_label=True`."
            )
        if isinstance(model, Head):
            readers[name] = id(model.deit), _reader(name, model, class_names)
            functions[id(model.deit)] = _deit_function(model.deit)
        else:
            teacher = model if isinstance(model, Teacher) else Teacher.from_bare_model(model)
            teacher = teacher.match_classes(class_names)
            readers[name] = name, lambda outputs: outputs
            functions[name] = _teacher_function(teacher, normalisation)
    for images in image_batches(dataset, BATCH_SIZE):
        check_normalized(images, *normalisation)
        outputs = {key: function.predict_on_batch(images) for key, function in functions.items()}
        yield {name: keras.ops.convert_to_numpy(read(outputs[key])) for name, (key, read) in readers.items()}


def _deit_function(deit):
    return BatchFunction(lambda images: deit(images, training=False), deit)


def _teacher_function(teacher, normalisation):
    return BatchFunction(lambda images: teacher(images, *normalisation), teacher.model)


def _reader(name, head, class_names):
    """A function from the outputs of a DeiT to the logits of a head, with the classes in a given order."""
    positions = None
    if class_names is not None and head.deit.class_names is not None:
        positions = match_classes(head.deit.class_names, class_names)
        if positions is None:
            raise ValueError(
                f"The classifiers must have the same classes. Received: {shorten(class_names)}, and of {name!r} "
                f"{shorten(head.deit.class_names)}."
            )

    def read(outputs):
        logits = head.logits(outputs)
        return logits if positions is None else logits[:, positions]

    return read


def _keras_model(model):
    if isinstance(model, Head):
        return model.deit
    return model.model if isinstance(model, Teacher) else model


def _class_names(model):
    is_matched = isinstance(model, Teacher) and (model.same_classes or model.class_positions is not None)
    return None if is_matched else getattr(_keras_model(model), "class_names", None)


def _normalisation(models, image_mean, image_std):
    students = (_keras_model(model) for model in models.values() if isinstance(model, (Head, DeiTClassifier)))
    records = (student.preprocessing for student in students if student.preprocessing is not None)
    record = next(records, Preprocessing())
    mean = record.mean if image_mean is None else image_mean
    std = record.std if image_std is None else image_std
    check_normalisation(mean, std, names=("image_mean", "image_std", None))
    return mean, std
