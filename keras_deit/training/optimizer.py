"""The optimiser of a recipe: AdamW, its schedule, and what is not decayed."""

import keras

# Biases, norms, LayerScale, positions and tokens, as in the official code and in timm (which also exempts the
# distillation token, unlike the official run).
NOT_DECAYED = ("bias", "gamma", "beta", "positions", "class_token", "distillation_token")


def learning_rate_schedule(settings, steps_per_epoch):
    """Linear warm-up, then a cosine to the end.

    Args:
        settings: Has the fields of a `Recipe` that concern the learning rate.
        steps_per_epoch: Number of optimiser steps in an epoch.

    Returns:
        A `keras.optimizers.schedules.CosineDecay`.
    """
    warmup_epochs = min(settings.warmup_epochs, settings.epochs - 1)
    peak = settings.learning_rate
    if settings.learning_rate_batch:
        peak = peak * settings.batch_size / settings.learning_rate_batch
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=settings.warmup_learning_rate if warmup_epochs else peak,
        decay_steps=(settings.epochs - warmup_epochs) * steps_per_epoch,
        alpha=settings.min_learning_rate / peak,
        warmup_target=peak if warmup_epochs else None,
        warmup_steps=warmup_epochs * steps_per_epoch,
    )


def make_optimizer(settings, steps_per_epoch):
    """AdamW with the recipe's schedule and weight decay.

    Args:
        settings: Has the fields of a `Recipe` that concern the optimiser.
        steps_per_epoch: Number of optimiser steps in an epoch.

    Returns:
        A `keras.optimizers.AdamW`, not yet built.
    """
    schedule = learning_rate_schedule(settings, steps_per_epoch)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay, epsilon=1e-8)
    optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    return optimizer
