"""The recipe of the paper, as far as this version can follow it.

    python scripts/train.py --variant deit_s --recipe deit

Hardware, time and accuracy: not measured. The paper: 300 epochs of ImageNet, top-1 81.2 for the distilled DeiT-S.

The optimiser, its schedule, label smoothing, stochastic depth and hard distillation are the published ones; the published
augmentation (RandAugment, mixup, cutmix, erasing, repeated augmentation) is still to come.

Source: Touvron et al., 2020 (arXiv 2012.12877), table 9, and the defaults of the official code.
"""

from keras_deit.recipes.recipe import Recipe

DEIT = Recipe(
    name="deit",
    description="The paper's optimiser, schedule and regularisation (its augmentation is still to come); not measured.",
    epochs=300,
    batch_size=1024,
    learning_rate=5e-4,
    learning_rate_batch=512,
    min_learning_rate=1e-5,
    warmup_epochs=5,
    warmup_learning_rate=1e-6,
    weight_decay=0.05,
    label_smoothing=0.1,
    drop_path_rate=0.1,
)
