"""The recipes of DeiT III.

    python scripts/train.py --variant deit3_b --dataset imagenet2012 --recipe deit3_1k
    python scripts/train.py --variant deit3_b --dataset imagenet2012 --recipe deit3_finetune_224 \
        --weights runs/first/student.keras
    python scripts/train.py --variant deit3_b_384 --dataset imagenet2012 --recipe deit3_finetune_384 \
        --weights runs/first/student.keras

Hardware, time and accuracy: not measured. The paper trains for 800 epochs on ImageNet (B at 192 pixels), then fine-tunes,
and reports a top-1 accuracy of 83.8 % for B at 224 pixels.

The stochastic depth and the training size of the medium variant were not published: pass `--drop-path-rate` and
`--image-size`.

Source: Touvron et al., 2022 (arXiv 2204.07118), table 1 and appendix, and the official repository's commands.
"""

import dataclasses

from keras_deit.recipes.recipe import IMAGENET_AUGMENTATION, Recipe

DEIT3_1K = Recipe(
    name="deit3_1k",
    description="Training from scratch on ImageNet-1k, from the DeiT III paper; not measured.",
    epochs=800,
    batch_size=2048,
    optimizer="lamb",
    learning_rate={"deit3_s": 4e-3, "deit3_m": 3e-3, "deit3_b": 3e-3, "deit3_l": 3e-3, "deit3_h": 3e-3},
    learning_rate_batch=None,
    min_learning_rate=1e-5,
    warmup_epochs=5,
    warmup_learning_rate=1e-6,
    weight_decay=0.05,
    clip_norm=1.0,
    loss="binary_cross_entropy",
    label_smoothing=0.0,
    drop_path_rate={"deit3_s": 0.05, "deit3_b": 0.2, "deit3_l": 0.45, "deit3_h": 0.6},
    ema_decay=0.99996,
    distillation="none",
    image_size={"deit3_s": 224, "deit3_b": 192, "deit3_l": 192, "deit3_h": 160},
    crop_ratio=1.0,
    color_jitter=0.3,
    repeats=3,
    **(IMAGENET_AUGMENTATION | {"auto_augment": "3-augment"}),
)

DEIT3_FINETUNE_224 = dataclasses.replace(
    DEIT3_1K,
    name="deit3_finetune_224",
    description="Fine-tuning at 224 pixels, from the DeiT III paper; not measured.",
    epochs=20,
    batch_size=512,
    optimizer="adamw",
    learning_rate=1e-5,
    weight_decay=0.1,
    clip_norm=None,
    loss="cross_entropy",
    label_smoothing=0.1,
    drop_path_rate={"deit3_b": 0.2, "deit3_l": 0.45, "deit3_h": 0.55},
    image_size=None,
    auto_augment=IMAGENET_AUGMENTATION["auto_augment"],
    color_jitter=0.0,
    repeats=1,
)

DEIT3_FINETUNE_384 = dataclasses.replace(
    DEIT3_FINETUNE_224,
    name="deit3_finetune_384",
    description="Fine-tuning at 384 pixels, from the DeiT III paper; not measured.",
    drop_path_rate={"deit3_s_384": 0.0, "deit3_b_384": 0.15, "deit3_l_384": 0.4},
)
