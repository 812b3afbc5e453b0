"""The recipe for fine-tuning on datasets other than ImageNet.

    python scripts/train.py --variant deit_b --recipe transfer --dataset cifar10 --weights deit_base_patch16_224

Hardware, time and accuracy: not measured. The authors used it for CIFAR and Stanford Cars, on images upscaled to 224 pixels,
from weights trained on ImageNet, without erasing. For crops, RandAugment, mixup and CutMix, the recipe assumes the values of
the training on ImageNet.

Source: the authors' replies in the issues of the official repository; the paper (arXiv 2012.12877), section 5.4.
"""

from keras_deit.recipes.recipe import IMAGENET_AUGMENTATION, Recipe

TRANSFER = Recipe(
    name="transfer",
    description="Fine-tuning with SGD on a small dataset, from trained weights; not measured.",
    epochs=1000,
    batch_size=768,
    optimizer="sgd",
    learning_rate=0.01,
    learning_rate_batch=None,
    min_learning_rate=1e-5,
    warmup_epochs=5,
    warmup_learning_rate=1e-6,
    weight_decay=1e-4,
    label_smoothing=0.1,
    drop_path_rate=0.0,
    distillation="none",
    **IMAGENET_AUGMENTATION,
)
