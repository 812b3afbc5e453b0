"""The optimiser of a recipe."""

from keras_deit.optimizers import LAMB, SGD, AdamW, LayerwiseAdamW

# Biases, norms, LayerScale, positions and tokens, as in the official code and in timm (which also exempts the
# distillation token, unlike the official run).
NOT_DECAYED = ("bias", "gamma", "beta", "positions", "class_token", "distillation_token")


def make_optimizer(settings, learning_rate, num_layers):
    """The optimiser of a recipe.

    Args:
        settings: Has the fields of a `Recipe` that concern the optimiser.
        learning_rate: Schedule.
        num_layers: Number of blocks of the student.

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
