"""A recipe for fine-tuning on a few hundred images, with a few images of each class.

    python scripts/train.py --variant deit_s --weights deit_small_distilled_patch16_224 --dataset images/ \
        --recipe few_images --teacher runs/teacher --patience 10 --keep best

Hardware, time and accuracy: not measured with published weights.

Compared with the recipe `transfer`, the crops are larger, the images are not mixed and RandAugment is left out, so that the
few images are seen as they are. Batches are small, because a batch of 768 images would be more than an epoch. The learning
rate is small, above all in the first blocks, because a few images change trained weights quickly.
"""

from keras_deit.recipes.recipe import Recipe

FEW_IMAGES = Recipe(
    name="few_images",
    description="Fine-tuning on a few hundred images, from trained weights.",
    epochs=30,
    batch_size=16,
    learning_rate=1e-4,
    learning_rate_batch=None,
    min_learning_rate=1e-6,
    warmup_epochs=3,
    warmup_learning_rate=1e-6,
    schedule="steps",
    weight_decay=0.05,
    layer_decay=0.75,
    label_smoothing=0.1,
    drop_path_rate=0.0,
    crop_scale=(0.5, 1.0),
    flip=0.5,
    color_jitter=0.2,
)
