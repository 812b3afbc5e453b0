"""The loss on the labels."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_deit")
class MultiLabelCrossentropy(keras.losses.BinaryCrossentropy):
    """Binary cross-entropy, averaged over the classes, with every class that a mixed label holds set to 1.

    Args:
        **kwargs: As for `keras.losses.BinaryCrossentropy`.

    Reference:
        Touvron et al., 2022 (arXiv 2204.07118), section 3.1: under mixup and cutmix both classes count as present.
    """

    def call(self, y_true, y_pred):
        return super().call(ops.cast(ops.convert_to_tensor(y_true) > 0, y_pred.dtype), y_pred)


def make_criterion(settings):
    """The loss of a recipe.

    Args:
        settings: Has the fields `loss` and `label_smoothing` of a `Recipe`.

    Returns:
        A Keras loss of one-hot or mixed labels and logits.
    """
    if settings.loss == "binary_cross_entropy":
        return MultiLabelCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)
