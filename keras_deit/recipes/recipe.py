"""What a recipe says."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Published training settings, as data.

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
        weight_decay: Of AdamW; biases, norms, positions and tokens are left out.
        label_smoothing: On the class head's labels.
        drop_path_rate: Stochastic depth at the last block.
        distillation: `"none"`, `"soft"` or `"hard"`.
        alpha: Share of the distillation term; None means the Distiller's own default.
        temperature: Of soft distillation.
        attention_weight: Of attention distillation.
    """

    name: str
    description: str
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
    distillation: str = "hard"
    alpha: float | None = None
    temperature: float = 3.0
    attention_weight: float = 0.0
