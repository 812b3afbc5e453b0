"""The recipes of the DeiT paper.

    python scripts/train.py --variant deit_s --dataset imagenet2012 --recipe deit
    python scripts/train.py --variant deit_s --dataset imagenet2012 --recipe deit_distilled_hard --teacher regnety_160
    python scripts/train.py --variant deit_s --dataset imagenet2012 --recipe deit_distilled_soft --teacher regnety_160
    python scripts/train.py --variant deit_b_384 --dataset imagenet2012 --recipe deit_384 --teacher regnety_160 \
        --weights deit_base_distilled_patch16_224

Hardware, time and accuracy: not measured. The paper trains for 300 epochs on ImageNet and reports a top-1 accuracy of 79.8 %
for DeiT-S without a teacher and of 81.2 % with one.

Weight decay leaves out the distillation token, as in timm. The official code repeats the images only if it trains on several
devices; these recipes repeat them on any number of devices.

Source: Touvron et al., 2020 (arXiv 2012.12877), table 9, and the defaults of the official code.
"""

import dataclasses

from keras_deit.recipes.recipe import IMAGENET_AUGMENTATION, Recipe

DEIT = Recipe(
    name="deit",
    description="Training without a teacher, from the DeiT paper; not measured.",
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
    ema_decay=0.99996,
    distillation="none",
    erasing=0.25,
    repeats=3,
    **IMAGENET_AUGMENTATION,
)

DEIT_DISTILLED_HARD = dataclasses.replace(
    DEIT,
    name="deit_distilled_hard",
    description="Hard distillation, from the DeiT paper; not measured.",
    distillation="hard",
    alpha=0.5,
)

DEIT_DISTILLED_SOFT = dataclasses.replace(
    DEIT,
    name="deit_distilled_soft",
    description="Soft distillation, from the DeiT paper; not measured.",
    distillation="soft",
    alpha=0.1,
    temperature=3.0,
)

# The learning rate's minimum is its peak, so the rate is constant after the warm-up. The published run kept the model in
# evaluation mode, which turned stochastic depth off.
DEIT_384 = dataclasses.replace(
    DEIT_DISTILLED_HARD,
    name="deit_384",
    description="Fine-tuning at 384 pixels with hard distillation, from the DeiT paper; not measured.",
    epochs=30,
    batch_size=512,
    learning_rate=5e-6,
    min_learning_rate=5e-6,
    weight_decay=1e-8,
    drop_path_rate=0.0,
)
