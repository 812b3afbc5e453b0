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
        "smallest and largest share of the image's area that a random crop with a ratio of 3/4 to 4/3 keeps",
        group=AUGMENTATION,
        default=None,
        rule=FRACTIONS,
        metavar="LOW,HIGH",
        none="no random crop, images are resized and centre-cropped as in evaluation",
    )
    flip: float = setting(
        "probability of a horizontal flip", group=AUGMENTATION, default=0.0, rule=FRACTION, metavar="P"
    )
    auto_augment: str | None = setting(
        "policy that chooses the operations: rand-m9-mstd0.5-inc1 or another RandAugment in timm's notation, 3-augment, or "
        "AutoAugment's original",
        group=AUGMENTATION,
        default=None,
        metavar="POLICY",
        none="no policy",
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
        "parameter alpha of mixup's Beta distribution, or 0 for no mixup",
        group=AUGMENTATION,
        default=0.0,
        rule=NOT_NEGATIVE,
        metavar="ALPHA",
    )
    cutmix: float = setting(
        "parameter alpha of CutMix's Beta distribution, or 0 for no CutMix; if mixup is on too, one of the two is drawn for "
        "each batch",
        group=AUGMENTATION,
        default=0.0,
        rule=NOT_NEGATIVE,
        metavar="ALPHA",
    )
    repeats: int = setting(
        "number of augmented samples of an image in an epoch, whose length stays the same: with 3, each epoch uses a random "
        "third of the images",
        group=AUGMENTATION,
        default=1,
        rule=POSITIVE,
    )


@describe_settings
@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeFields(AugmentationFields):
    """The settings that a recipe determines."""

    epochs: int = setting("number of epochs", group=TRAINING, rule=POSITIVE)
    batch_size: int = setting("number of images in a batch, over all devices", group=TRAINING, rule=POSITIVE)
    learning_rate: float = setting(
        "peak learning rate, for a batch of learning_rate_batch images",
        group=TRAINING,
        rule=POSITIVE,
        metavar="RATE",
    )
    learning_rate_batch: int | None = setting(
        "batch size that learning_rate is meant for; the peak is multiplied by batch_size / learning_rate_batch",
        group=TRAINING,
        rule=POSITIVE,
        none="the peak does not depend on the batch size",
    )
    min_learning_rate: float = setting(
        "learning rate at the end of the cosine, not scaled with the batch size",
        group=TRAINING,
        rule=NOT_NEGATIVE,
        metavar="RATE",
    )
    warmup_epochs: int = setting("number of epochs of linear warm-up", group=TRAINING, rule=NOT_NEGATIVE)
    warmup_learning_rate: float = setting(
        "learning rate at the start of the warm-up, not scaled with the batch size",
        group=TRAINING,
        rule=NOT_NEGATIVE,
        metavar="RATE",
    )
    schedule: str = setting(
        "when the learning rate changes: between epochs, on a cosine that is counted from the first epoch, as published "
        "(epochs), or at every step, on a cosine that starts after the warm-up (steps)",
        group=TRAINING,
        default="epochs",
        choices=("epochs", "steps"),
    )
    optimizer: str = setting(
        "optimizer of the student", group=TRAINING, default="adamw", choices=("adamw", "lamb", "sgd")
    )
    weight_decay: float = setting(
        "weight decay; biases, norms, LayerScale, position embeddings and tokens are not decayed",
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
        "factor of the learning rate from each block to the block before it, with the optimizer adamw; 1 means one rate for "
        "all blocks",
        group=TRAINING,
        default=1.0,
        rule=FRACTION_ABOVE_0,
        metavar="FACTOR",
    )
    ema_decay: float | None = setting(
        "decay of a moving average of the weights, which is evaluated and saved beside the weights",
        group=TRAINING,
        default=None,
        rule=FRACTION_BELOW_1,
        metavar="DECAY",
        none="no moving average",
    )
    loss: str = setting(
        "loss on the labels; binary_cross_entropy sets every class of a mixed label to 1",
        group=TRAINING,
        default="cross_entropy",
        choices=("cross_entropy", "binary_cross_entropy"),
    )
    label_smoothing: float = setting(
        "label smoothing in the loss on the labels", group=TRAINING, rule=FRACTION_BELOW_1, metavar="SHARE"
    )
    drop_path_rate: float = setting(
        "rate of stochastic depth at the last block, or in DeiT III at every block",
        group=TRAINING,
        rule=FRACTION_BELOW_1,
        metavar="RATE",
    )
    distillation: str = setting(
        "what the student learns from the teacher: nothing, as there is no teacher (none), its distribution (soft) or the "
        "class that it predicts (hard)",
        group=TEACHER,
        default="hard",
        choices=("none", "soft", "hard"),
    )
    alpha: float | None = setting(
        "share of the distillation loss in the whole loss",
        group=TEACHER,
        default=None,
        rule=FRACTION,
        metavar="SHARE",
        none="0.5 for hard and 0.1 for soft distillation",
    )
    temperature: float = setting(
        "temperature of soft distillation", group=TEACHER, default=3.0, rule=POSITIVE, metavar="T"
    )
    attention_weight: float = setting(
        "weight of attention distillation, which needs a transformer teacher; 0 turns it off",
        group=TEACHER,
        default=0.0,
        rule=NOT_NEGATIVE,
        metavar="WEIGHT",
    )
    image_size: int | None = setting(
        "height and width of the student's images",
        group=MODEL,
        default=None,
        rule=POSITIVE,
        metavar="PIXELS",
        none="the variant's size, or for images in memory their own",
    )
    crop_ratio: float = setting(
        "share of the resized image's side that the centre crop of evaluation keeps",
        group=AUGMENTATION,
        default=0.875,
        rule=FRACTION_ABOVE_0,
        metavar="SHARE",
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
