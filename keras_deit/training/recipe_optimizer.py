"""The optimiser of a run."""

import keras

from keras_deit.optimizers import LAMB, SGD, AdamW, LayerwiseAdamW
from keras_deit.training.device_strategy import on_every_replica

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


@keras.saving.register_keras_serializable(package="keras_deit")
class LossScaling(keras.optimizers.LossScaleOptimizer):
    """`keras.optimizers.LossScaleOptimizer`, which also sees gradients that are not finite on another replica of TensorFlow.

    Keras asks the first replica alone, although the gradients are summed over the replicas later: NaN of another replica
    would reach the weights of all.
    """

    def check_finite(self, gradients):
        """Whether the gradients of all replicas are finite, a scalar tensor."""
        return on_every_replica(super().check_finite(gradients))


def scaling_loss(optimizer, precision, skips):
    """Wraps an optimiser that has to leave out steps whose gradients are not finite.

    Args:
        optimizer: A Keras optimiser.
        precision: Setting `precision`. In float16 the loss is multiplied by a large factor that follows the gradients.
        skips: Whether such steps are left out in the other precisions too, where the factor is 1.

    Returns:
        A `LossScaling`, or the optimiser itself.
    """
    if precision == "float16":
        return LossScaling(optimizer)
    return LossScaling(optimizer, initial_scale=1.0, dynamic_growth_steps=2**31 - 1) if skips else optimizer
