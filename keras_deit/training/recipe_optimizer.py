"""The optimiser of a run."""

import keras

from keras_deit.optimizers import LAMB, SGD, AdamW, LayerwiseAdamW

# Biases, norms, LayerScale, position embeddings and tokens, as in the official code and in timm. The distillation token is
# one of them in timm; the official run decayed it.
NOT_DECAYED = ("bias", "gamma", "beta", "positions", "class_token", "distillation_token")


def make_optimizer(settings, learning_rate, num_layers):
    """Makes the optimiser of a run.

    Args:
        settings: `Settings` or `Recipe`.
        learning_rate: Keras learning rate schedule.
        num_layers: Number of the student's blocks, for `layer_decay`; None for a convnet.

    Returns:
        A Keras optimiser, not yet built.
    """
    options = {"weight_decay": settings.weight_decay, "global_clipnorm": settings.clip_norm}
    if settings.ema_decay is not None:
        options.update(use_ema=True, ema_momentum=settings.ema_decay)
    if settings.optimizer == "lamb":
        optimizer = LAMB(learning_rate, epsilon=1e-6, **options)
    elif settings.optimizer == "sgd":
        optimizer = SGD(learning_rate, momentum=0.9, nesterov=True, **options)
    elif settings.layer_decay != 1:
        layers = dict(layer_decay=settings.layer_decay, num_layers=num_layers)
        optimizer = LayerwiseAdamW(learning_rate, epsilon=1e-8, **layers, **options)
    else:
        optimizer = AdamW(learning_rate, epsilon=1e-8, **options)
    optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    return optimizer


def skipping_steps(optimizer):
    """Makes an optimiser leave out the steps whose gradients are not finite.

    Args:
        optimizer: A Keras optimiser.

    Returns:
        Keras's `LossScaleOptimizer` with a scale of 1. In float16 Keras wraps every optimiser in one.
    """
    return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0, dynamic_growth_steps=2**31 - 1)
