"""What the models share."""

import keras

from keras_deit.models.variants import get_variant


class ImageModel(keras.Model):
    """A functional model on images that can be rebuilt from its constructor's arguments.

    Args:
        images: The symbolic input.
        outputs: The symbolic outputs.
        dtype: Dtype policy of the model, or None for the global one.
        name: Name of the model.
        trainable: Whether the variables are trained.
    """

    def __init__(self, images, outputs, *, dtype, name, trainable=True):
        super().__init__(inputs=images, outputs=outputs, name=name, trainable=trainable)
        self.dtype_policy = keras.dtype_policies.get(dtype)

    @classmethod
    def from_variant(cls, variant, **overrides):
        """Builds a published architecture with fresh weights.

        Args:
            variant: Name of a variant, see `keras_deit.list_variants()`.
            **overrides: Any constructor arguments that should differ, for example `image_size=384`.

        Returns:
            The model.

        Raises:
            ValueError: If there is no such variant; the message names the nearest ones.

        Example:

        >>> import keras_deit as kd
        >>> kd.DeiT.from_variant("deit_ti", num_classes=10, image_size=32, patch_size=8, num_layers=2).count_params()
        934868
        """
        return cls(**{**get_variant(variant).arguments, **overrides})

    @property
    def input_spec(self):
        """None: the patch embedding checks the images, and its message says what to do."""
        return None

    def get_config(self):
        return {
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def head_dtype(policy):
    """Dtype of a classification head: logits in half precision would lose digits, so never less than float32."""
    return "float64" if keras.dtype_policies.get(policy).variable_dtype == "float64" else "float32"


def classification_head(num_classes, policy, name):
    """A linear classifier with DeiT's initial values (normal of σ 0.02, zero biases)."""
    if num_classes < 1:
        raise ValueError(f"`num_classes` must be positive. Received: num_classes={num_classes}")
    initializer = keras.initializers.RandomNormal(stddev=0.02)
    return keras.layers.Dense(num_classes, kernel_initializer=initializer, dtype=head_dtype(policy), name=name)
