"""The model with one head a token."""

import keras

from keras_deit.models.backbone import DeiTBackbone
from keras_deit.models.image_model import BackboneMixin, ImageModel, classification_head


@keras.saving.register_keras_serializable(package="keras_deit")
class DeiT(BackboneMixin, ImageModel):
    """Images to the logits of the class head and of the distillation head.

    Train it with `keras_deit.Distiller`. Without one, `loss` and `y` are dictionaries with the keys of the outputs; for
    one answer an image take `keras_deit.DeiTClassifier`.

    Args:
        num_classes: Number of classes.
        dtype: Dtype policy, for example `"mixed_bfloat16"`; the heads answer in float32 all the same.
        name, trainable: As for every Keras model.
        class_names: Names of the classes, which are kept with the model; None for none.
        **backbone_arguments: Constructor arguments of `keras_deit.DeiTBackbone`: `image_size`, `patch_size`,
            `hidden_dim`, `num_layers`, `num_heads`, `intermediate_dim`, `distilled`, `drop_path_rate`, ...

    Input shape:
        `(batch, height, width, 3)`: channels-last RGB, normalised by a mean and a standard deviation of pixels in 0..1.

    Output shape:
        `{"class": (batch, num_classes), "distillation": (batch, num_classes)}`, float32 logits; `{"class"}` alone when
        `distilled=False`.

    Raises:
        ValueError: If there are more or fewer names than classes.

    Example:

    >>> import keras, keras_deit as kd
    >>> deit = kd.DeiT.from_variant("deit_ti", num_classes=10, num_layers=1)
    >>> sorted(deit(keras.ops.ones((1, 224, 224, 3))))
    ['class', 'distillation']

    Reference:
        Touvron et al., 2020 (arXiv 2012.12877), section 4, "Distillation through attention".
    """

    def __init__(
        self, num_classes=1000, dtype=None, name="deit", trainable=True, class_names=None, **backbone_arguments
    ):
        if class_names is not None and len(class_names) != num_classes:
            raise ValueError(f"Every class has one name. Received: num_classes={num_classes}, {len(class_names)} names")
        policy = keras.dtype_policies.get(dtype)
        backbone = DeiTBackbone(dtype=policy, **backbone_arguments)
        images = keras.Input(backbone.input_shape[1:], name="images", dtype=policy.variable_dtype)
        features = backbone(images)
        outputs = {"class": classification_head(num_classes, policy, "class_head")(features["class_token"])}
        if backbone.distilled:
            head = classification_head(num_classes, policy, "distillation_head")
            outputs["distillation"] = head(features["distillation_token"])
        super().__init__(images, outputs, dtype=policy, name=name, trainable=trainable)
        self.num_classes = num_classes
        self.class_names = None if class_names is None else tuple(class_names)

    @property
    def backbone(self):
        """The `DeiTBackbone`."""
        return self.get_layer("backbone")

    @property
    def distilled(self):
        """Whether there is a distillation token and its head."""
        return self.backbone.distilled

    def call_with_attention(self, images, training=False):
        """Runs the model and keeps the attention map of every block.

        Args:
            images: As for a plain call.
            training: Whether residual branches may be dropped.

        Returns:
            The outputs of a plain call and a list, over the blocks, of float32 maps `(batch, heads, P + N, P + N)`.
        """
        features, maps = self.backbone.call_with_attention(images, training=training)
        outputs = {"class": self.get_layer("class_head")(features["class_token"])}
        if self.distilled:
            outputs["distillation"] = self.get_layer("distillation_head")(features["distillation_token"])
        return outputs, maps

    def get_config(self):
        names = None if self.class_names is None else list(self.class_names)
        return {"num_classes": self.num_classes, "class_names": names, **self.backbone_config(), **super().get_config()}
