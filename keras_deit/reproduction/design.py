"""The trainings of the study: conditions that differ in one factor, at several numbers of labels and with several seeds."""

import dataclasses
import functools
import pathlib

from keras_deit.reproduction.spec import CONVNET, TEST, TRANSFORMER, VALIDATION, Setting, Training

BASE = "distillation token"
USUAL_HARD, USUAL_SOFT, NO_TEACHER = "usual hard distillation", "usual soft distillation", "no teacher"
TRANSFORMER_TEACHER, ATTENTION = "transformer teacher", "attention distillation"
NO_AUGMENTATION = "no augmentation"
STRONG, REPEATED = "strong augmentation", "strong and repeated augmentation"
UNLABELLED = "unlabelled images"
SEARCH_SEED = 1000  # differs from the seeds of the comparison
TEACHER_SEED = 500  # added to the seed of a teacher's weights: a transformer must not begin as its student does


@dataclasses.dataclass(frozen=True)
class Condition:
    """A condition of the study.

    Attributes:
        name: Name in the table.
        reference: Name of the condition from which this one differs in one factor; None for the base.
        change: Dictionary with the one field of `Setting` that differs, and its value.
    """

    name: str
    reference: str | None
    change: dict


CONDITIONS = {
    condition.name: condition
    for condition in (
        Condition(BASE, None, {}),
        Condition(USUAL_HARD, BASE, {"distilled": False}),
        Condition(USUAL_SOFT, USUAL_HARD, {"distillation": "soft"}),
        Condition(NO_TEACHER, USUAL_HARD, {"distillation": "none"}),
        Condition(TRANSFORMER_TEACHER, BASE, {"teacher": TRANSFORMER}),
        Condition(ATTENTION, TRANSFORMER_TEACHER, {"attention_weight": 1.0}),
        Condition(NO_AUGMENTATION, BASE, {"augmentation": "none"}),
        Condition("random crops", BASE, {"augmentation": "crops"}),
        Condition(STRONG, BASE, {"augmentation": "strong"}),
        Condition(REPEATED, STRONG, {"repeats": 3}),
        Condition(UNLABELLED, BASE, {"unlabelled": True}),
    )
}
TABLE_3 = (NO_TEACHER, USUAL_SOFT, USUAL_HARD, BASE)  # the conditions of the paper's table 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Design:
    """The size of the study.

    Attributes:
        seeds: Seeds of the comparison.
        labels: Numbers of labelled images per class; None means all.
        main_labels: The number at which all conditions are compared, and at which the settings are chosen. At the other
            numbers, only those of the paper's table 3 are compared.
        conditions: Names of the conditions at `main_labels`.
        steps: Number of optimizer steps of each training.
        learning_rates, augmentations, sizes: Values from which those of the students are chosen; a size is
            `(hidden_dim, num_layers)`.
        teacher_learning_rates, teacher_augmentations: The same for the convnet.
    """

    seeds: tuple = (0, 1, 2, 3, 4)
    labels: tuple = (10, 30, 100, None)
    main_labels: int = 30
    conditions: tuple = tuple(CONDITIONS)
    steps: int = 1000
    learning_rates: tuple = (2e-3, 4e-3)
    augmentations: tuple = ("none", "crops", "strong")
    sizes: tuple = ((64, 4), (96, 3))
    teacher_learning_rates: tuple = (1e-3, 3e-3)
    teacher_augmentations: tuple = ("none", "crops")


FULL = Design()
QUICK = Design(
    seeds=(0, 1),
    labels=(30,),
    conditions=(BASE, USUAL_HARD, USUAL_SOFT, NO_TEACHER, TRANSFORMER_TEACHER, NO_AUGMENTATION, STRONG, UNLABELLED),
    steps=600,
    augmentations=("none", "crops"),
    sizes=((64, 4),),
    teacher_learning_rates=(3e-3,),
)


def dataset_name(dataset):
    """Returns the name that files and tables have for a dataset.

    Args:
        dataset: Name or path that `keras_deit.data.load` takes.

    Example:

    >>> dataset_name("digits"), dataset_name("data/fashion_mnist.npz")
    ('digits', 'fashion_mnist')
    """
    return pathlib.PurePath(dataset).stem


def setting_of(condition, base):
    """Returns the setting of a condition.

    Args:
        condition: Key of `CONDITIONS`.
        base: `Setting` of the base.

    Returns:
        A `Setting`, which differs from that of the condition's reference in one field at most.
    """
    reference, change = CONDITIONS[condition].reference, CONDITIONS[condition].change
    return base if reference is None else dataclasses.replace(setting_of(reference, base), **change)


def teacher_candidates(design, dataset):
    """Lists the trainings from which the setting of the convnet is chosen.

    Args:
        design: `Design`.
        dataset: Name or path of the dataset.

    Returns:
        List of `Training`, evaluated on the validation split.
    """
    settings = [
        _convnet(learning_rate=learning_rate, augmentation=augmentation)
        for learning_rate in design.teacher_learning_rates
        for augmentation in design.teacher_augmentations
    ]
    return [_candidate(design, dataset, f"convnet {index}", one) for index, one in enumerate(settings)]


def student_candidates(design, dataset, teacher):
    """Lists the trainings from which the base is chosen: each candidate is trained with and without a teacher.

    Args:
        design: `Design`.
        dataset: Name or path of the dataset.
        teacher: Name of the training of the chosen convnet.

    Returns:
        List of pairs of `Training`, evaluated on the validation split: that of the base and the one without a teacher.
    """
    settings = [
        Setting(learning_rate=learning_rate, augmentation=augmentation, hidden_dim=width, num_layers=layers)
        for width, layers in design.sizes
        for augmentation in design.augmentations
        for learning_rate in design.learning_rates
    ]
    return [
        tuple(
            _candidate(design, dataset, f"{condition} {index}", setting_of(condition, base), teacher)
            for condition in (BASE, NO_TEACHER)
        )
        for index, base in enumerate(settings)
    ]


def comparison(design, dataset, base, convnet):
    """Lists the trainings that are compared, with their teachers, one seed after the other.

    A condition whose setting is that of another one is not trained twice, for example strong augmentation if the base has
    it.

    Args:
        design: `Design`.
        dataset: Name or path of the dataset.
        base, convnet: Chosen `Setting`s of the student and of the convnet.

    Returns:
        List of `Training`, evaluated on the test split. A teacher comes before its students.
    """
    return [
        training
        for seed in design.seeds
        for labels in design.labels
        for training in _group(design, dataset, base, convnet, labels, seed)
    ]


def conditions_at(design, labels):
    """Returns the names of the conditions that are compared at a number of labels."""
    return design.conditions if labels == design.main_labels else TABLE_3


def _group(design, dataset, base, convnet, labels, seed):
    """The trainings of one labelled subset and one seed."""
    conditions = conditions_at(design, labels)
    make = functools.partial(Training, dataset=dataset, labels=labels, seed=seed, steps=design.steps, evaluated_on=TEST)
    prefix = f"{dataset_name(dataset)}, {describe_labels(labels)}, seed {seed}"
    teachers = {CONVNET: convnet}
    if any(setting_of(condition, base).teacher == TRANSFORMER for condition in conditions):
        teachers[TRANSFORMER] = setting_of(NO_TEACHER, base)
    for kind, setting in teachers.items():
        yield make(name=f"{prefix}, {kind}", condition=kind, setting=setting, weights_seed=seed + TEACHER_SEED)
    for condition in dict.fromkeys(trained_as(conditions, base).values()):
        setting = setting_of(condition, base)
        teacher = None if setting.distillation == "none" else f"{prefix}, {setting.teacher}"
        yield make(
            name=f"{prefix}, {condition}", condition=condition, setting=setting, weights_seed=seed, teacher=teacher
        )


def trained_as(conditions, base):
    """Finds the conditions that are the same training, since the base has the setting already.

    Args:
        conditions: Names of conditions.
        base: `Setting` of the base.

    Returns:
        Dictionary from each condition to the first one that has the same setting.
    """
    first = {}
    return {name: first.setdefault(setting_of(name, base), name) for name in conditions}


def _candidate(design, dataset, condition, setting, teacher=None):
    return Training(
        name=f"{dataset_name(dataset)}, search, {condition}",
        dataset=dataset,
        condition=condition,
        labels=design.main_labels,
        seed=SEARCH_SEED,
        weights_seed=SEARCH_SEED,
        steps=design.steps,
        evaluated_on=VALIDATION,
        setting=setting,
        teacher=None if setting.distillation == "none" else teacher,
    )


def _convnet(**values):
    return Setting(architecture=CONVNET, distillation="none", distilled=False, **values)


def describe_labels(labels):
    """Describes a number of labelled images per class; None means all."""
    return "all labels" if labels is None else f"{labels} per class"
