"""What distinguishes one training of the study from another."""

import dataclasses

from keras_deit.data import Augmentation

CONVNET, TRANSFORMER = "convnet", "transformer"  # kinds of teachers
DEIT = "deit"
TEST, VALIDATION = "test", "validation"

AUGMENTATIONS = {  # no flips: a mirrored digit is another sign
    "none": Augmentation(),
    "crops": Augmentation(crop_scale=(0.6, 1.0)),
    "strong": Augmentation(
        crop_scale=(0.6, 1.0), auto_augment="rand-m9-mstd0.5-inc1", mixup=0.8, cutmix=1.0, erasing=0.25
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """The settings of a training, the data and the seed aside.

    Attributes:
        architecture: `DEIT` or `CONVNET`.
        hidden_dim, num_layers: Width and number of blocks of a DeiT.
        learning_rate: Peak of the learning rate.
        augmentation: Key of `AUGMENTATIONS`.
        repeats: Number of augmented copies of an image in a batch (repeated augmentation).
        distillation: `"none"`, `"soft"` or `"hard"`.
        distilled: Whether a DeiT has a distillation token.
        teacher: Kind of the teacher; without meaning if `distillation` is `"none"`.
        unlabelled: Whether the images outside the labelled subset are added without their labels.
        attention_weight: Weight of attention distillation.
    """

    architecture: str = DEIT
    hidden_dim: int = 64
    num_layers: int = 4
    learning_rate: float = 1e-3
    augmentation: str = "none"
    repeats: int = 1
    distillation: str = "hard"
    distilled: bool = True
    teacher: str = CONVNET
    unlabelled: bool = False
    attention_weight: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """A training of the study. It depends on nothing but its attributes and its teacher.

    Attributes:
        name: Name that is unique in the study; the names of its files.
        dataset: Name or path that `keras_deit.data.load` takes.
        condition: What is compared, such as `"usual hard distillation"`.
        labels: Number of labelled images per class; None means all.
        seed: Integer that chooses the labelled images.
        weights_seed: Integer that determines the initial weights, the order of the images and their augmentation.
        steps: Number of optimizer steps.
        evaluated_on: `VALIDATION` while settings are chosen, otherwise `TEST`.
        setting: `Setting`.
        teacher: Name of the training of its teacher, or None.
    """

    name: str
    dataset: str
    condition: str
    labels: int | None
    seed: int
    weights_seed: int
    steps: int
    evaluated_on: str
    setting: Setting
    teacher: str | None = None

    @property
    def is_teacher(self):
        """Whether other trainings may need the model: the convnet, and the transformer without a teacher of its own."""
        return self.setting.architecture == CONVNET or self.condition == TRANSFORMER

    @classmethod
    def of(cls, values):
        """Makes a training from the dictionary that `dataclasses.asdict` returns."""
        return cls(**{**values, "setting": Setting(**values["setting"])})
