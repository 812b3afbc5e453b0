"""The settings of a run, declared, and their names and values in words."""

import dataclasses
import difflib

from keras_deit import recipes
from keras_deit.choices import (
    APPLICATIONS,
    ARCHITECTURES,
    BIT_DEPTHS,
    DEIT_VARIANTS,
    EXPORT_FORMATS,
    FATAL_ISSUES,
    IMAGE_ISSUES,
    ON_NAN,
    OUTPUTS,
    PIPELINES,
    REGNETY_VARIANTS,
    SOURCES,
    STRATEGIES,
    TEST_SPLITS,
    TRACKERS,
)
from keras_deit.recipes.fields import (
    AUGMENTATION,
    CHANNELS,
    DATA,
    FRACTION,
    INTERVAL,
    MODEL,
    NONE,
    NOT_NEGATIVE,
    POSITIVE,
    POSITIVE_CHANNELS,
    RUN,
    TEACHER,
    TRAINING,
    Rule,
    describe_settings,
    setting,
    settings_of,
)
from keras_deit.recipes.recipe import RecipeFields
from keras_deit.training.checkpoint_interval import AUTO, is_interval

IMAGENET = "imagenet"  # weights of keras.applications
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@describe_settings
@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(RecipeFields):
    """All that determines a run, resolved: the settings of a recipe for one variant, and those that no recipe determines."""

    variant: str | None = setting(
        f"architecture of the student: {', '.join(DEIT_VARIANTS)}; or of a teacher to fine-tune: "
        f"{', '.join(REGNETY_VARIANTS)}",
        group=MODEL,
        default=None,
        none="the model is that of architecture; one of the two is required",
        first=True,
    )
    architecture: str | None = setting(
        "instead of variant: the model of keras.applications to fine-tune as a teacher, such as ResNet50",
        group=MODEL,
        default=None,
        choices=tuple(ARCHITECTURES),
        metavar="NAME",
        none="the model is that of variant",
    )
    weights: str | None = setting(
        f"weights to start from: {SOURCES}; with architecture the default is {IMAGENET}, the weights of Keras",
        group=MODEL,
        default=None,
        metavar="NAME_OR_PATH",
        none="random initialisation",
    )
    weights_entry: str | None = setting(
        "key of the weights in a checkpoint that holds several, such as model_ema, or the prefix of their names",
        group=MODEL,
        default=None,
        metavar="KEY",
        none="the key model or state_dict, or the only key with weights",
    )
    patch_size: int | None = setting(
        "height and width of a patch",
        group=MODEL,
        default=None,
        rule=POSITIVE,
        metavar="PIXELS",
        none="the patch size of the weights or the variant; smaller for small images",
    )
    num_layers: int | None = setting(
        "number of encoder blocks; of weights with more blocks, the first ones are used",
        group=MODEL,
        default=None,
        rule=POSITIVE,
        none="that of the variant",
    )
    num_heads: int | None = setting(
        "number of attention heads; the embedding dimension is this number times that of one head of the variant",
        group=MODEL,
        default=None,
        rule=POSITIVE,
        none="that of the variant",
    )
    precision: str = setting(
        "precision of the computation; bfloat16 and float16 are mixed precision, with float32 weights",
        group=MODEL,
        default="float32",
        choices=tuple(PRECISIONS),
    )
    dataset: str = setting(
        "labelled images: digits, a folder of class folders, a CSV file with the columns path and label, an "
        ".npz file with the arrays x_train and y_train, and optionally x_test and y_test, or the name of a dataset of "
        "TensorFlow Datasets (TFDS), such as imagenet2012",
        group=DATA,
        default="digits",
        metavar="NAME_OR_PATH",
    )
    data_dir: str | None = setting(
        "directory of the datasets of TFDS",
        group=DATA,
        default=None,
        metavar="DIR",
        none="the default directory of TFDS",
    )
    class_names: tuple[str, ...] | None = setting(
        "names of the classes in the order of the labels; the option takes a file with one name on each line",
        group=DATA,
        default=None,
        metavar="FILE",
        none="the dataset's class names, in the dataset's order",
    )
    train_folder: str | None = setting(
        "folder of the training split, below the folder of the dataset; without test_folder, the images of this folder are "
        "divided into both splits",
        group=DATA,
        default=None,
        metavar="FOLDER",
        none="recognised by its name, such as train, Training or x_train",
    )
    test_folder: str | None = setting(
        "folder of the test split, below the folder of the dataset",
        group=DATA,
        default=None,
        metavar="FOLDER",
        none="recognised by its name, such as val, Testing or x_test",
    )
    test_split: str | None = setting(
        "split that accuracies are measured on, if the dataset has both val and test",
        group=DATA,
        default=None,
        choices=TEST_SPLITS,
        none="val if there is one, otherwise test",
    )
    bit_depth: int | None = setting(
        "number of bits that the pixels use, for example 12; only for image files of 16 bits that do not state this number",
        group=DATA,
        default=None,
        rule=Rule(f"from {BIT_DEPTHS[0]} to {BIT_DEPTHS[-1]}", lambda bits: bits in BIT_DEPTHS),
        metavar="BITS",
        none="16",
    )
    validated: str | None = setting(
        "report of keras-deit validate-data, which replaces the check of the images",
        group=DATA,
        default=None,
        metavar="FILE",
        none="no report",
    )
    check_images: bool = setting(
        "check before the training that every image can be read; images in memory are not checked",
        group=DATA,
        default=True,
    )
    skip_images: tuple[str, ...] = setting(
        f"issues for which an image is excluded from the dataset; {' and '.join(FATAL_ISSUES)} images are always excluded",
        group=DATA,
        default=(),
        choices=tuple(IMAGE_ISSUES),
        metavar="ISSUES",
    )
    max_skipped: float = setting(
        "maximum fraction of the images that may be excluded; the run stops if more images have to be excluded",
        group=DATA,
        default=0.05,
        rule=FRACTION,
        metavar="FRACTION",
    )
    pipeline: str = setting(
        "input pipeline; tf.data: threads of TensorFlow; grain: worker processes without TensorFlow; python: one thread; "
        "auto: the first of these that is installed, and python for images in memory that are only normalised",
        group=DATA,
        default="auto",
        choices=PIPELINES,
    )
    num_workers: int | None = setting(
        "number of threads or processes that make batches",
        group=DATA,
        default=None,
        rule=POSITIVE,
        none="one for each core",
    )
    augmentation_layers: str | None = setting(
        "layers that replace flip, auto_augment, color_jitter, erasing, mixup and cutmix: keras-cv, or a .keras file",
        group=AUGMENTATION,
        default=None,
        metavar="LAYERS",
        none="the operations of this package",
    )
    teacher: str | None = setting(
        f"teacher: a SavedModel directory, {SOURCES}",
        group=TEACHER,
        default=None,
        metavar="NAME_OR_PATH",
        none="for digits a small convolutional network that the run trains first; required for other datasets, unless "
        "distillation is none",
    )
    teacher_outputs: str | None = setting(
        "what the teacher returns: logits, probabilities that sum to 1, or the outputs of a sigmoid for each class",
        group=TEACHER,
        default=None,
        choices=OUTPUTS,
        none="logits",
    )
    teacher_image_size: int | None = setting(
        "height and width of the teacher's input images",
        group=TEACHER,
        default=None,
        rule=POSITIVE,
        metavar="PIXELS",
        none="the image size that the teacher was trained at if it is a DeiT or comes from a run, otherwise the student's",
    )
    teacher_value_range: tuple[float, float] | None = setting(
        "range to which the teacher's pixels are scaled before mean and standard deviation, such as 0,255",
        group=TEACHER,
        default=None,
        rule=INTERVAL,
        metavar="LOW,HIGH",
        none="0,1",
    )
    teacher_mean: tuple[float, ...] | None = setting(
        "mean that is subtracted from the teacher's pixels after scaling to teacher_value_range; for 0,255 a mean between 0 "
        "and 255",
        group=TEACHER,
        default=None,
        rule=CHANNELS,
        metavar="R,G,B",
        none="the mean that is stored in the teacher, otherwise ImageNet's; 0 if teacher_value_range or "
        "teacher_std is given, or if the teacher takes grey images",
    )
    teacher_std: tuple[float, ...] | None = setting(
        "standard deviation by which the teacher's pixels are divided after scaling to teacher_value_range",
        group=TEACHER,
        default=None,
        rule=POSITIVE_CHANNELS,
        metavar="R,G,B",
        none="the standard deviation that is stored in the teacher, otherwise ImageNet's; 1 if teacher_value_range or "
        "teacher_mean is given, or if the teacher takes grey images",
    )
    teacher_preprocessing: str | None = setting(
        "module of keras.applications whose function preprocess_input prepares the teacher's images, instead of "
        "teacher_value_range, teacher_mean and teacher_std",
        group=TEACHER,
        default=None,
        choices=APPLICATIONS,
        none="the images are normalised with teacher_value_range, teacher_mean and teacher_std",
    )
    teacher_same_classes: bool = setting(
        "declare that the teacher has the classes of the dataset in the dataset's order, whatever their names; by default "
        "the classes are matched by name",
        group=TEACHER,
        default=False,
    )
    teacher_cache: str | None = setting(
        "directory for stored teacher outputs; before the training, the run computes and stores the teacher's output for "
        "every augmented sample of every epoch",
        group=TEACHER,
        default=None,
        metavar="DIR",
        none="the teacher runs at every step",
    )
    teacher_cache_top: int = setting(
        "number of most probable classes whose log-probabilities are stored for soft distillation",
        group=TEACHER,
        default=20,
        rule=POSITIVE,
        metavar="K",
    )
    compare: bool = setting("also train a student without a teacher, for comparison", group=TEACHER, default=False)
    recipe: str = setting(
        f"named set of values for the settings that are not given: {', '.join(recipes.RECIPES)}",
        group=TRAINING,
        default="small_data",
        first=True,
    )
    steps_per_epoch: int | None = setting(
        "number of steps in an epoch", group=TRAINING, default=None, rule=POSITIVE, none="the whole dataset"
    )
    strategy: str = setting(
        "devices to train on; none: one device; mirrored: all devices of TensorFlow; data_parallel: all devices of JAX; "
        "auto: as many devices of TensorFlow or JAX as divide the batch, and one device of PyTorch",
        group=TRAINING,
        default="auto",
        choices=STRATEGIES,
    )
    accumulate: int = setting(
        "number of parts that a batch is divided into; the parts are computed one after the other, to save memory; "
        "batch_size is the size of the whole batch, and the update is that of the whole batch",
        group=TRAINING,
        default=1,
        rule=POSITIVE,
        metavar="PARTS",
    )
    lora_rank: int | None = setting(
        "rank of LoRA, which trains two matrices beside each dense layer of the encoder blocks, and the heads, instead of "
        "all weights; only with weights",
        group=TRAINING,
        default=None,
        rule=POSITIVE,
        none="all weights are trained",
    )
    remat: bool = setting(
        "gradient checkpointing: keep only the input of each encoder block in memory and compute the other activations "
        "again in the backward pass, which takes less memory and more time",
        group=TRAINING,
        default=False,
    )
    seed: int = setting(
        "seed of the weights, the order of the images and the augmentation",
        group=TRAINING,
        default=0,
        rule=NOT_NEGATIVE,
    )
    on_nan: str = setting(
        "what happens at a step whose gradients are NaN or infinite; stop: the run ends; skip: the weights do not "
        "change, and the run counts the step",
        group=TRAINING,
        default="stop",
        choices=ON_NAN,
    )
    checkpoint_every: str = setting(
        "interval between checkpoints, which save the state of the run; auto: the checkpoints take at most 1 % of the time",
        group=RUN,
        default=AUTO,
        rule=Rule("auto, a number of steps, or a time such as 30s, 10min or 2h", is_interval),
        metavar="STEPS_OR_TIME",
    )
    keep_checkpoints: int = setting(
        "number of checkpoints to keep; an older checkpoint is used if the newest one is damaged",
        group=RUN,
        default=2,
        rule=POSITIVE,
    )
    patience: int | None = setting(
        "end the training when the accuracy on the test split has not risen for this number of epochs",
        group=TRAINING,
        default=None,
        rule=POSITIVE,
        metavar="EPOCHS",
        none="train for all epochs",
    )
    keep: str = setting(
        "weights that the run writes at the end; last: those of the last epoch; best: also those of the epoch with the "
        "highest accuracy on the test split (of several such epochs, the first), to student_best.keras",
        group=RUN,
        default="last",
        choices=("best", "last"),
    )
    log: tuple[str, ...] = setting(
        "other logs that the columns of history.csv are written to; tensorboard: event files in the output directory; "
        "wandb: Weights & Biases",
        group=RUN,
        default=(),
        choices=TRACKERS,
        metavar="TRACKERS",
    )
    export: tuple[str, ...] = setting(
        "formats to export the trained student to; the run compares each exported model with the student",
        group=RUN,
        default=(),
        choices=EXPORT_FORMATS,
        metavar="FORMATS",
    )

    @property
    def model_name(self):
        """Name of the variant or architecture."""
        return self.variant or self.architecture

    @property
    def is_convnet(self):
        """Whether the run fine-tunes a convnet, with one head, on labels alone."""
        return self.architecture is not None or self.variant in REGNETY_VARIANTS


SETTINGS = settings_of(Settings)
OF_RECIPES = settings_of(RecipeFields)


def check_names(names, problem="There are no settings of these names"):
    """Checks that names are those of settings.

    Args:
        names: Names, or a dictionary of them.
        problem: Beginning of the error message.

    Raises:
        ValueError: If a name is unknown; the message names the nearest setting.
    """
    unknown = sorted(set(names) - set(SETTINGS))
    if not unknown:
        return
    nearest = difflib.get_close_matches(unknown[0], SETTINGS, n=1)
    hint = f" Did you mean {nearest[0]}?" if nearest else ""
    raise ValueError(
        f"{problem}: {', '.join(unknown)}.{hint} `keras-deit train --help` lists the settings (with - instead of _)."
    )


def decode_value(name, value):
    """Turns a value from the command line or a TOML file into the setting's value.

    Args:
        name: Name of the setting.
        value: The value. `"none"` stands for None, which TOML does not have; a list stands for a tuple.

    Returns:
        The setting's value, not yet checked.
    """
    if SETTINGS[name].accepts_none and value in (NONE, [], ()):
        return None
    return tuple(value) if isinstance(value, list) else value


def default_in_words(name):
    """The value that a setting has if it is not given, as a phrase.

    Args:
        name: Name of the setting.

    Returns:
        The phrase.

    Example:

    >>> default_in_words("epochs"), default_in_words("num_workers"), default_in_words("seed")
    ("the recipe's", 'one for each core', '0')
    """
    if name in OF_RECIPES:
        return "the recipe's"
    declared = SETTINGS[name]
    if declared.default is None:
        return declared.none
    if isinstance(declared.default, bool):
        return str(declared.default).lower()
    return "nothing" if declared.default == () else str(declared.default)
