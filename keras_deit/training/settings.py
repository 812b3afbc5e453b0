"""The settings of a run and where each comes from: command line, then configuration file, then recipe."""

import dataclasses
import pathlib
import tomllib

from keras_deit import recipes
from keras_deit.data import IMAGE_ISSUES, PIPELINES, Augmentation
from keras_deit.models import get_variant
from keras_deit.runtime.files import write_whole
from keras_deit.runtime.optional import require

DISTILLATIONS = ("none", "soft", "hard")
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that determines a run, resolved. The fields from `epochs` on are those of `keras_deit.recipes.Recipe`.

    Attributes:
        variant: Name of a variant.
        weights: Trained weights to begin with: what `keras_deit.DeiT.from_preset` takes, or a `.keras` file; None for fresh
            ones.
        dataset, data_dir: See `keras_deit.data.load`.
        class_names: Names of the classes in the order of the labels; None means the dataset's.
        pipeline, num_workers, augmentation: See `keras_deit.data.InputPipeline`.
        check_images: Whether pictures in files are read once before the training, to find those that cannot be.
        validated: Path of a report of `keras-deit validate-data`, which is taken instead of reading them again.
        skip_images: Kinds of pictures that are left out beside those that cannot be read: `IMAGE_ISSUES`.
        max_skipped: Share of the pictures which may be left out.
        recipe: Name of the recipe that the unset fields come from.
        teacher: Path of a saved model or of weights, `"hf://owner/repository"` or a preset; None for a small convnet that is
            trained first.
        teacher_outputs, teacher_image_size, teacher_value_range, teacher_mean, teacher_std: See `keras_deit.Teacher`;
            with none of the last three set, a teacher at a path takes images normalised as the student's.
        teacher_cache: Directory of the teacher's stored answers, see `keras_deit.data.TeacherCache`.
        teacher_cache_top: Number of classes whose log-probabilities are stored for soft distillation.
        patch_size: Side of a patch; None means one that suits the image size.
        steps_per_epoch: None means the whole dataset.
        precision: `"float32"`, `"bfloat16"` or `"float16"` (mixed).
        strategy: See `keras_deit.training.strategy.place`.
        seed: Of weights, order and augmentation.
        compare: Whether to train a student without a teacher as well.
        export: Names of the formats to export to.
    """

    variant: str
    weights: str | None
    dataset: str
    data_dir: str | None
    class_names: tuple | None
    pipeline: str
    num_workers: int | None
    augmentation: str | None
    check_images: bool
    validated: str | None
    skip_images: tuple
    max_skipped: float
    recipe: str
    teacher: str | None
    teacher_outputs: str | None
    teacher_image_size: int | None
    teacher_value_range: tuple | None
    teacher_mean: tuple | None
    teacher_std: tuple | None
    teacher_cache: str | None
    teacher_cache_top: int
    patch_size: int | None
    steps_per_epoch: int | None
    precision: str
    strategy: str
    seed: int
    compare: bool
    export: tuple
    epochs: int
    batch_size: int
    learning_rate: float
    learning_rate_batch: int | None
    min_learning_rate: float
    warmup_epochs: int
    warmup_learning_rate: float
    weight_decay: float
    label_smoothing: float
    drop_path_rate: float
    optimizer: str
    schedule: str
    clip_norm: float | None
    layer_decay: float
    ema_decay: float | None
    loss: str
    distillation: str
    alpha: float | None
    temperature: float
    attention_weight: float
    image_size: int | None
    crop_ratio: float
    crop_scale: tuple | None
    flip: float
    auto_augment: str | None
    color_jitter: float
    erasing: float
    mixup: float
    cutmix: float
    repeats: int


OFF = "none"  # in a configuration or on the command line, where a recipe says otherwise; TOML has no null
_CAN_BE_OFF = ("auto_augment", "augmentation", "crop_scale")
_FIELDS = tuple(field.name for field in dataclasses.fields(Settings))
_DEFAULTS = {
    **dict.fromkeys(_FIELDS),
    "dataset": "digits",
    "pipeline": "auto",
    "teacher_cache_top": 20,
    "check_images": True,
    "skip_images": (),
    "max_skipped": 0.05,
    "recipe": "small_data",
    "precision": "float32",
    "strategy": "none",
    "seed": 0,
    "compare": False,
    "export": (),
}


def resolve(command_line, config=None):
    """Resolves the settings of a run.

    Args:
        command_line: Dictionary of what was given on the command line; None means not given.
        config: Path of a configuration file, or None.

    Returns:
        `Settings`.

    Raises:
        ValueError: If the file has an unknown key, its recipe and that of the command line differ, or a value is of the
            wrong type or out of range.

    Example:

    >>> resolve({"variant": "deit_ti", "epochs": 5}).batch_size
    32
    """
    given = _set(command_line)
    if config:
        given = _over(read_config(config), given, config)
    if given.get("variant") is None:
        raise ValueError("Which variant? For example --variant deit_ti; `keras_deit.list_variants()` lists them.")
    recipe = recipes.get(given.get("recipe", _DEFAULTS["recipe"]))
    values = {**_DEFAULTS, **recipe.values(get_variant(given["variant"]).name), **given}
    for name in ("learning_rate", "drop_path_rate"):
        if values.get(name) is None:
            raise ValueError(
                f"The recipe {recipe.name!r} has no published `{name}` for {given['variant']!r}. Which one? For example "
                f"--{name.replace('_', '-')} 0.1."
            )
    values.update((name, None) for name in _CAN_BE_OFF if values[name] in (OFF, [], ()))
    settings = Settings(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    _check(settings)
    return settings


def read_config(path):
    """Reads a configuration file and checks its keys.

    Args:
        path: Path of a TOML file, such as the `config.toml` of a run.

    Returns:
        Dictionary of its values.

    Raises:
        ValueError: If the file is missing, is not TOML or has an unknown key.
    """
    path = pathlib.Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"The configuration {str(path)!r} cannot be read: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"The configuration {str(path)!r} is not valid TOML: {error}") from error
    unknown = sorted(set(values) - set(_FIELDS))
    if unknown:
        raise ValueError(
            f"The configuration {str(path)!r} has unknown keys: {', '.join(unknown)}. Known: {', '.join(_FIELDS)}."
        )
    return values


def write_config(settings, path):
    """Writes the settings so that `--config` of the file repeats the run.

    Args:
        settings: `Settings`.
        path: Path of the file; it appears whole or not at all.
    """
    tomli_w = require("tomli_w", extra="run", purpose="Writing config.toml")
    values = _set(dataclasses.asdict(settings))  # what is None is left out
    values.update((name, OFF) for name in _CAN_BE_OFF if name not in values)
    write_whole(path, tomli_w.dumps(values))


def _set(values):
    return {name: value for name, value in values.items() if value is not None}


def _over(config, command_line, path):
    recipe = command_line.get("recipe")
    if "recipe" in config and recipe not in (None, config["recipe"]):
        raise ValueError(
            f"{str(path)!r} holds settings of the recipe {config['recipe']!r}, which come before those of --recipe "
            f"{recipe}. Leave out one of the two."
        )
    return {**config, **command_line}


def _check(settings):
    for field in dataclasses.fields(settings):
        _check_type(field, getattr(settings, field.name))
    choices = {
        "distillation": DISTILLATIONS,
        "precision": tuple(PRECISIONS),
        "optimizer": recipes.OPTIMIZERS,
        "schedule": recipes.SCHEDULES,
        "loss": recipes.LOSSES,
        "pipeline": PIPELINES,
    }
    for name, known in choices.items():
        if getattr(settings, name) not in known:
            raise ValueError(f"`{name}` must be one of {known}. Received: {name}={getattr(settings, name)!r}")
    for names, is_allowed, expected in _RANGES:
        for name in names:
            value = getattr(settings, name)
            if value is not None and not is_allowed(value):
                raise ValueError(f"`{name}` must {expected}. Received: {name}={value}")
    unknown = [kind for kind in settings.skip_images if kind not in IMAGE_ISSUES]
    if unknown:
        raise ValueError(f"`skip_images` must be of {tuple(IMAGE_ISSUES)}. Received: {unknown[0]!r}")
    Augmentation.of(settings)  # checks itself
    _check_teacher(settings)


_RANGES = (
    (
        (
            *(
                "epochs",
                "batch_size",
                "steps_per_epoch",
                "image_size",
                "patch_size",
                "teacher_image_size",
                "num_workers",
                "teacher_cache_top",
            ),
            *("learning_rate", "learning_rate_batch", "temperature", "clip_norm"),
        ),
        lambda value: value > 0,
        "be positive",
    ),
    (
        ("seed", "min_learning_rate", "warmup_epochs", "warmup_learning_rate", "weight_decay", "attention_weight"),
        lambda value: value >= 0,
        "not be negative",
    ),
    (("label_smoothing", "drop_path_rate", "ema_decay"), lambda value: 0 <= value < 1, "be at least 0 and less than 1"),
    (("layer_decay", "crop_ratio"), lambda value: 0 < value <= 1, "be above 0 and at most 1"),
    (("alpha", "max_skipped"), lambda value: 0 <= value <= 1, "lie in 0..1"),
    (
        ("teacher_value_range",),
        lambda value: len(value) == 2 and value[0] < value[1],
        "be two numbers, the smaller one first",
    ),
    (("teacher_mean", "teacher_std"), lambda value: len(value) in (1, 3), "be one number, or one for each channel"),
    (("teacher_std",), lambda value: min(value) > 0, "be positive"),
)


def _check_type(field, value):
    accepted = (field.type | int) if isinstance(0.5, field.type) else field.type
    if not isinstance(value, accepted) or (isinstance(value, bool) and field.type is not bool):
        expected = field.type.__name__ if isinstance(field.type, type) else str(field.type).replace(" | None", "")
        raise ValueError(f"`{field.name}` must be of type {expected}. Received: {field.name}={value!r}")


def _check_teacher(settings):
    if settings.distillation == "none":
        about_teacher = ("compare", "attention_weight", "alpha", "teacher", "teacher_cache")
        given = [name for name in about_teacher if getattr(settings, name)]
        if given:
            raise ValueError(f"`{given[0]}` is about a teacher, and there is none: choose hard or soft distillation.")
    if settings.teacher_cache and settings.attention_weight:
        raise ValueError(
            "`attention_weight` needs the teacher itself, whose attention maps are not stored in a teacher cache."
        )
    if settings.teacher_cache and settings.augmentation:
        raise ValueError(
            "The layers of `augmentation` draw by themselves, so that no answers to their images can be stored: leave out "
            "--teacher-cache."
        )
    if settings.teacher is None:
        options = [f"teacher_{name}" for name in ("outputs", "image_size", "value_range", "mean", "std")]
        given = [name for name in options if getattr(settings, name) is not None]
        if given:
            raise ValueError(f"`{given[0]}` describes a teacher of your own. Which one? Pass --teacher as well.")
        if settings.attention_weight:
            raise ValueError(
                "`attention_weight` needs a transformer teacher, and the one that a run trains by itself is a convnet. "
                "Pass --teacher as well."
            )
