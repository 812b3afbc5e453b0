"""What a recipe sets: the declarations of its settings."""

import dataclasses

from keras_deit.recipes.fields import (
    AUGMENTATION,
    FRACTION,
    FRACTION_ABOVE_0,
    FRACTION_BELOW_1,
    FRACTIONS,
    MODEL,
    NOT_NEGATIVE,
    POSITIVE,
    TEACHER,
    TRAINING,
    describe_settings,
    setting,
    settings_of,
)


@describe_settings
@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentationFields:
    """The settings of the augmentation of training images. The defaults mean no augmentation."""

    crop_scale: tuple[float, float] | None = setting(
        "smallest and largest area of a random resized crop, as fractions of the image's area; the aspect ratio is drawn "
        "from 3/4 to 4/3",
        group=AUGMENTATION,
        default=None,
        rule=FRACTIONS,
        metavar="LOW,HIGH",
        none="no random crop, but the resizing and the centre crop of evaluation",
    )
    flip: float = setting(
        "probability of a horizontal flip", group=AUGMENTATION, default=0.0, rule=FRACTION, metavar="P"
    )
    auto_augment: str | None = setting(
        "policy that chooses the augmentation operations of an image: 3-augment (one of greyscale, solarisation and blur, "
        "as in DeiT III), original (AutoAugment's policy for ImageNet), or RandAugment in the notation of the library timm, "
        "such as rand-m9-mstd0.5-inc1",
        group=AUGMENTATION,
        default=None,
        metavar="POLICY",
        none="no such operations",
    )
    color_jitter: float = setting(
        "strength of random changes of brightness, contrast and saturation",
        group=AUGMENTATION,
        default=0.0,
        rule=FRACTION,
        metavar="STRENGTH",
    )
    erasing: float = setting(
        "probability that a random rectangle of the normalised image is filled with noise",
        group=AUGMENTATION,
        default=0.0,
        rule=FRACTION,
        metavar="P",
    )
    mixup: float = setting(
        "parameter of mixup's Beta distribution; 0 turns mixup off",
        group=AUGMENTATION,
        default=0.0,
        rule=NOT_NEGATIVE,
        metavar="ALPHA",
    )
    cutmix: float = setting(
        "parameter of CutMix's Beta distribution; 0 turns CutMix off; with both mixup and CutMix, one of them is drawn for "
        "each batch",
        group=AUGMENTATION,
        default=0.0,
        rule=NOT_NEGATIVE,
        metavar="ALPHA",
    )
    repeats: int = setting(
        "repeated augmentation: number of augmented samples of an image in an epoch; the number of samples in an epoch "
        "stays the same, so with 3 each epoch uses a random third of the images",
        group=AUGMENTATION,
        default=1,
        rule=POSITIVE,
    )


@describe_settings
@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeFields(AugmentationFields):
    """The settings that a recipe determines."""

    epochs: int = setting("number of epochs", group=TRAINING, rule=POSITIVE)
    batch_size: int = setting(
        "number of images in a batch, over all devices: a multiple of the number of devices, at most the number of training "
        "images, and even with mixup or CutMix",
        group=TRAINING,
        rule=POSITIVE,
    )
    learning_rate: float = setting(
        "peak learning rate for a batch of learning_rate_batch images",
        group=TRAINING,
        rule=POSITIVE,
        metavar="RATE",
    )
    learning_rate_batch: int | None = setting(
        "batch size that learning_rate refers to; the peak is learning_rate times batch_size / learning_rate_batch",
        group=TRAINING,
        rule=POSITIVE,
        none="the peak is learning_rate for every batch size",
    )
    min_learning_rate: float = setting(
        "final learning rate of the cosine schedule; not scaled with the batch size",
        group=TRAINING,
        rule=NOT_NEGATIVE,
        metavar="RATE",
    )
    warmup_epochs: int = setting("number of epochs of linear warm-up", group=TRAINING, rule=NOT_NEGATIVE)
    warmup_learning_rate: float = setting(
        "learning rate at the start of the warm-up; not scaled with the batch size",
        group=TRAINING,
        rule=NOT_NEGATIVE,
        metavar="RATE",
    )
    schedule: str = setting(
        "learning-rate schedule; epochs: the rate changes once an epoch, and the cosine counts the epochs of the warm-up "
        "too, so the first rate after the warm-up is a little below the peak, as in the published trainings; steps: the "
        "rate changes at every step, and the cosine starts at the peak after the warm-up",
        group=TRAINING,
        default="epochs",
        choices=("epochs", "steps"),
    )
    optimizer: str = setting(
        "optimizer of the student", group=TRAINING, default="adamw", choices=("adamw", "lamb", "sgd")
    )
    weight_decay: float = setting(
        "weight decay; not applied to biases, norms, LayerScale, position embeddings and tokens",
        group=TRAINING,
        rule=NOT_NEGATIVE,
        metavar="DECAY",
    )
    clip_norm: float | None = setting(
        "global norm that gradients are clipped to",
        group=TRAINING,
        default=None,
        rule=POSITIVE,
        metavar="NORM",
        none="no clipping",
    )
    layer_decay: float = setting(
        "layer-wise learning-rate decay, with adamw only: the learning rate of a block is this factor times that of the "
        "next block; with 1 all blocks have the same learning rate",
        group=TRAINING,
        default=1.0,
        rule=FRACTION_ABOVE_0,
        metavar="FACTOR",
    )
    ema_decay: float | None = setting(
        "decay of the exponential moving average (EMA) of the weights; the run also evaluates the averaged weights "
        "and writes them to student_average.weights.h5",
        group=TRAINING,
        default=None,
        rule=FRACTION_BELOW_1,
        metavar="DECAY",
        none="no moving average",
    )
    loss: str = setting(
        "loss on the labels; with binary_cross_entropy the target is 1 for each class that mixup or CutMix mixed, and 0 for "
        "the others",
        group=TRAINING,
        default="cross_entropy",
        choices=("cross_entropy", "binary_cross_entropy"),
    )
    label_smoothing: float = setting(
        "label smoothing in the loss on the labels", group=TRAINING, rule=FRACTION_BELOW_1, metavar="FRACTION"
    )
    drop_path_rate: float = setting(
        "stochastic depth (drop path); in DeiT the rate rises linearly from 0 at the first block to this value at the last "
        "block, in DeiT III every block has this rate",
        group=TRAINING,
        rule=FRACTION_BELOW_1,
        metavar="RATE",
    )
    distillation: str = setting(
        "kind of distillation; none: no teacher; soft: the student learns the teacher's class probabilities; hard: the "
        "student learns the class that the teacher predicts",
        group=TEACHER,
        default="hard",
        choices=("none", "soft", "hard"),
    )
    alpha: float | None = setting(
        "weight of the distillation loss; the loss on the labels has the weight 1 - alpha",
        group=TEACHER,
        default=None,
        rule=FRACTION,
        metavar="FRACTION",
        none="0.5 for hard and 0.1 for soft distillation",
    )
    temperature: float = setting(
        "temperature of soft distillation", group=TEACHER, default=3.0, rule=POSITIVE, metavar="T"
    )
    attention_weight: float = setting(
        "weight of attention distillation, which needs a transformer teacher; 0 turns attention distillation off",
        group=TEACHER,
        default=0.0,
        rule=NOT_NEGATIVE,
        metavar="WEIGHT",
    )
    image_size: int | None = setting(
        "height and width of the student's input images",
        group=MODEL,
        default=None,
        rule=POSITIVE,
        metavar="PIXELS",
        none="digits and .npz images keep their size, other images get the variant's size, also if weights are given",
    )
    crop_ratio: float = setting(
        "side of the centre crop in evaluation, as a fraction of the shorter side of the resized image; crop_pct in timm",
        group=AUGMENTATION,
        default=0.875,
        rule=FRACTION_ABOVE_0,
        metavar="FRACTION",
    )


@describe_settings
@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(RecipeFields):
    """Published training settings, as data. A setting that depends on the variant is a dictionary from variants to values.

    Raises:
        ValueError: If a setting does not accept its value.
    """

    name: str = setting("name that `--recipe` takes")
    description: str = setting("one line about the recipe's purpose, and whether its accuracy was measured")

    def __post_init__(self):
        for name, declared in settings_of(type(self)).items():
            value = getattr(self, name)
            for one in value.values() if isinstance(value, dict) else [value]:
                declared.check(one)

    def values(self, variant):
        """The settings for a variant.

        Args:
            variant: Name of the variant.

        Returns:
            Dictionary of all settings but name and description. Settings that depend on the variant and were not published
            for this one are left out.
        """
        values = {name: getattr(self, name) for name in settings_of(RecipeFields)}
        published = {name: value for name, value in values.items() if not isinstance(value, dict) or variant in value}
        return {name: value[variant] if isinstance(value, dict) else value for name, value in published.items()}


# The augmentation that all published recipes for ImageNet share; a recipe replaces single values of it.
IMAGENET_AUGMENTATION = {
    "crop_scale": (0.08, 1.0),
    "flip": 0.5,
    "auto_augment": "rand-m9-mstd0.5-inc1",
    "mixup": 0.8,
    "cutmix": 1.0,
}
