"""The loss on the labels."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_deit")
class MultiLabelCrossentropy(keras.losses.BinaryCrossentropy):
    """Binary cross-entropy for mixed labels, averaged over the classes.

    Every class with a positive share in a label becomes a target of 1. After mixup or CutMix, both classes are targets.

    Args:
        **kwargs: Arguments of `keras.losses.BinaryCrossentropy`.

    Example:

    >>> labels, logits = [[0.3, 0.7, 0.0]], keras.ops.array([[2.0, 2.0, -2.0]])
    >>> round(float(MultiLabelCrossentropy(from_logits=True)(labels, logits)), 4)
    0.1269

    Reference:
        Touvron et al., 2022 (arXiv 2204.07118), section 3.1.
    """

    def call(self, y_true, y_pred):
        """Computes one loss value for each example."""
        return super().call(ops.cast(ops.convert_to_tensor(y_true) > 0, y_pred.dtype), y_pred)


def make_criterion(settings):
    """Makes the loss on the labels of a run.

    Args:
        settings: `Settings` or `Recipe`.

    Returns:
        A Keras loss. Its labels are one-hot or mixed, `(batch, classes)`; its predictions are logits `(batch, classes)`.
    """
    if settings.loss == "binary_cross_entropy":
        return MultiLabelCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)
