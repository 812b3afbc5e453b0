"""The learning rate in the course of a run."""

import math
import warnings

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_deit")
class CosineByEpochs(keras.optimizers.schedules.LearningRateSchedule):
    """The official schedule: a linear warm-up, then a cosine. The learning rate is constant within an epoch.

    The cosine is counted from the first epoch, so the rate after the warm-up is already below the peak. The cosine would
    reach `end` in the epoch after the last one.

    Args:
        peak: Learning rate at the top of the cosine.
        end: Learning rate at the end of the cosine.
        epochs: Number of epochs.
        warmup_epochs: Number of epochs of warm-up.
        warmup_from: Learning rate of the first epoch; not used if there is no warm-up.
        steps_per_epoch: Number of steps in an epoch.

    Example:

    >>> schedule = CosineByEpochs(5e-4, 1e-5, epochs=300, warmup_epochs=5, warmup_from=1e-6, steps_per_epoch=10)
    >>> round(float(schedule(9)), 9)
    1e-06

    Reference:
        Touvron et al., 2020 (arXiv 2012.12877), table 9; timm's `CosineLRScheduler`, which the official code steps once an
        epoch.
    """

    def __init__(self, peak, end, epochs, warmup_epochs, warmup_from, steps_per_epoch):
        super().__init__()
        self.peak = peak
        self.end = end
        self.epochs = epochs
        self.warmup_epochs = warmup_epochs
        self.warmup_from = warmup_from
        self.steps_per_epoch = steps_per_epoch

    def __call__(self, step):
        epoch = ops.cast(ops.cast(step, "int32") // self.steps_per_epoch, "float32")
        return _learning_rate(self, epoch, self.warmup_epochs, epoch / self.epochs)

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {
            "peak": self.peak,
            "end": self.end,
            "epochs": self.epochs,
            "warmup_epochs": self.warmup_epochs,
            "warmup_from": self.warmup_from,
            "steps_per_epoch": self.steps_per_epoch,
        }


@keras.saving.register_keras_serializable(package="keras_deit")
class CosineBySteps(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up, then a cosine from the peak to the end. The learning rate changes with every step.

    The rates are those of `keras.optimizers.schedules.CosineDecay`. On PyTorch with a GPU, Keras's schedule copies seven
    numbers to the GPU, and the processor waits until the GPU has decided whether the warm-up is over.

    Args:
        peak: Learning rate at the top of the cosine.
        end: Learning rate after the last step.
        steps: Number of steps, including the warm-up.
        warmup_steps: Number of steps of warm-up.
        warmup_from: Learning rate of the first step; not used if there is no warm-up.

    Example:

    >>> schedule = CosineBySteps(1.0, 0.0, steps=12, warmup_steps=2, warmup_from=0.5)
    >>> [round(float(schedule(step)), 3) for step in (0, 1, 2, 7, 12)]
    [0.5, 0.75, 1.0, 0.5, 0.0]

    Reference:
        Loshchilov and Hutter, 2016 (arXiv 1608.03983), equation 5, without restarts.
    """

    def __init__(self, peak, end, steps, warmup_steps, warmup_from):
        super().__init__()
        self.peak = peak
        self.end = end
        self.steps = steps
        self.warmup_steps = warmup_steps
        self.warmup_from = warmup_from

    def __call__(self, step):
        step = ops.cast(step, "float32")
        fraction = (step - self.warmup_steps) / (self.steps - self.warmup_steps)
        fraction = ops.where(fraction < 1, fraction, ops.ones_like(fraction))
        return _learning_rate(self, step, self.warmup_steps, fraction)

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {
            "peak": self.peak,
            "end": self.end,
            "steps": self.steps,
            "warmup_steps": self.warmup_steps,
            "warmup_from": self.warmup_from,
        }


def _learning_rate(schedule, time, warmup, fraction):
    """The learning rate of a warm-up and a cosine.

    Args:
        schedule: The schedule with `peak`, `end` and `warmup_from`.
        time: Scalar tensor: the number of epochs or steps so far.
        warmup: Number of epochs or steps of warm-up.
        fraction: Scalar tensor: the fraction of the cosine so far.

    Returns:
        Scalar tensor.
    """
    warming_up = schedule.warmup_from + time * (schedule.peak - schedule.warmup_from) / max(warmup, 1)
    cosine = schedule.end + (schedule.peak - schedule.end) / 2 * (1 + ops.cos(math.pi * fraction))
    return ops.where(time < warmup, warming_up, cosine)


def learning_rate_schedule(settings, steps_per_epoch):
    """Makes the learning rate schedule of a run.

    Args:
        settings: `Settings`, or a `Recipe` whose learning rate does not depend on the variant.
        steps_per_epoch: Number of optimiser steps in an epoch.

    Returns:
        A Keras `LearningRateSchedule`.
    """
    warmup_epochs = min(settings.warmup_epochs, settings.epochs - 1)
    peak = settings.learning_rate
    if settings.learning_rate_batch:
        peak = peak * settings.batch_size / settings.learning_rate_batch
    if settings.min_learning_rate > peak:
        warnings.warn(
            f"The learning rate rises: min_learning_rate={settings.min_learning_rate:.3g} at the end of the run is above "
            f"the peak, {peak:.3g}, which is the learning rate for the batch size of {settings.batch_size}. Pass a lower "
            "--min-learning-rate, or a higher --learning-rate.",
            stacklevel=1,  # Python shows a warning once for each line: a run makes the schedule twice
        )
    if settings.schedule == "epochs":
        return CosineByEpochs(
            peak,
            settings.min_learning_rate,
            settings.epochs,
            warmup_epochs,
            settings.warmup_learning_rate,
            steps_per_epoch,
        )
    return CosineBySteps(
        peak,
        settings.min_learning_rate,
        settings.epochs * steps_per_epoch,
        warmup_epochs * steps_per_epoch,
        settings.warmup_learning_rate,
    )


def last_learning_rate(optimizer):
    """Reads the learning rate of the last step that was taken; the optimizer itself gives that of the next step.

    Args:
        optimizer: A built Keras optimizer.

    Returns:
        Float.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
    next_step = int(keras.ops.convert_to_numpy(optimizer.iterations))
    optimizer.iterations.assign(max(next_step - 1, 0))
    learning_rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    optimizer.iterations.assign(next_step)
    return learning_rate
