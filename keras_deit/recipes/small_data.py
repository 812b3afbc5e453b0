"""A recipe for a few thousand small images, such as the handwritten digits of scikit-learn.

    python scripts/train.py --variant deit_ti

HEADER
"""

from keras_deit.recipes.recipe import Recipe

SMALL_DATA = Recipe(
    name="small_data",
    description="A few thousand small images on a CPU.",
    epochs=30,
    batch_size=32,
    learning_rate=5e-4,
    learning_rate_batch=None,
    min_learning_rate=1e-5,
    warmup_epochs=2,
    warmup_learning_rate=1e-6,
    weight_decay=0.05,
    label_smoothing=0.1,
    drop_path_rate=0.0,
)
