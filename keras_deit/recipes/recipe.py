"""What a recipe says."""

import dataclasses

OPTIMIZERS = ("adamw", "lamb", "sgd")
SCHEDULES = ("epochs", "steps")
LOSSES = ("cross_entropy", "binary_cross_entropy")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Published training settings, as data. A value that depends on the variant is a dictionary from variants to values.

    Attributes:
        name: The name that `--recipe` takes.
        description: Command, hardware, time and accuracy expected, or "not measured".
        epochs: Number of epochs.
        batch_size: Images in a batch, over all replicas.
        learning_rate: Peak learning rate at `learning_rate_batch` images a batch.
        learning_rate_batch: The batch that the peak is meant for: it grows in proportion. None: it does not.
        min_learning_rate: Learning rate at the end of the cosine, unscaled.
        warmup_epochs: Epochs of linear warm-up.
        warmup_learning_rate: Learning rate at the start of the warm-up, unscaled.
        weight_decay: Of everything but biases, norms, positions and tokens.
        label_smoothing: On the class head's labels.
        drop_path_rate: Stochastic depth at the last block; of DeiT III at every block.
        optimizer: One of `OPTIMIZERS`.
        schedule: `"epochs"`: the learning rate changes between epochs and the cosine is counted from the first one (the
            official schedule); `"steps"`: it changes at every step, and the cosine begins where the warm-up ends.
        clip_norm: Global norm that the gradient is clipped to, or None.
        layer_decay: Factor of the learning rate from a block to the one before it; 1 means none.
        ema_decay: Of a moving average of the weights, evaluated beside them; None means none is kept.
        loss: One of `LOSSES`; the binary one sets every class that a mixed label holds to 1.
        distillation: `"none"`, `"soft"` or `"hard"`.
        alpha: Share of the distillation term; None means the Distiller's own default.
        temperature: Of soft distillation.
        attention_weight: Of attention distillation.
        image_size: Side of the images in pixels; None means that of the variant or, of images in memory, their own.
        crop_ratio: Share of the resized image that evaluation's centre crop keeps.
        crop_scale, flip, auto_augment, color_jitter, erasing, mixup, cutmix, repeats: See `keras_deit.data.Augmentation`.
    """

    name: str
    description: str
    epochs: int
    batch_size: int
    learning_rate: float | dict
    learning_rate_batch: int | None
    min_learning_rate: float
    warmup_epochs: int
    warmup_learning_rate: float
    weight_decay: float
    label_smoothing: float
    drop_path_rate: float | dict
    optimizer: str = "adamw"
    schedule: str = "epochs"
    clip_norm: float | None = None
    layer_decay: float = 1.0
    ema_decay: float | None = None
    loss: str = "cross_entropy"
    distillation: str = "hard"
    alpha: float | None = None
    temperature: float = 3.0
    attention_weight: float = 0.0
    image_size: int | dict | None = None
    crop_ratio: float = 0.875
    crop_scale: tuple | None = (0.08, 1.0)
    flip: float = 0.5
    auto_augment: str | None = "rand-m9-mstd0.5-inc1"
    color_jitter: float = 0.0
    erasing: float = 0.0
    mixup: float = 0.8
    cutmix: float = 1.0
    repeats: int = 1

    def values(self, variant):
        """The settings for a variant.

        Args:
            variant: Name of the variant.

        Returns:
            Dictionary of all fields but name and description; without those that were not published for the variant.
        """
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)[2:]}
        chosen = {name: value.get(variant) if isinstance(value, dict) else value for name, value in fields.items()}
        unpublished = {name for name, value in fields.items() if isinstance(value, dict) and chosen[name] is None}
        return {name: value for name, value in chosen.items() if name not in unpublished}
