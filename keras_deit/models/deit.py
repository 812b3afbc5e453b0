"""The model with one head per prefix token."""

import keras

from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.models.backbone import DeiTBackbone
from keras_deit.models.image_model import (
    BackboneMixin,
    ImageModel,
    check_class_names,
    classification_head,
)
from keras_deit.runtime.keras_file import check_weights_file
from keras_deit.runtime.numpy_numbers import python_number


@keras.saving.register_keras_serializable(package="keras_deit")
class DeiT(BackboneMixin, ImageModel):
    """Images to the logits of the class head and of the distillation head.

    `keras_deit.Distiller` trains the model. To train it without a Distiller, pass `loss` and `y` as dictionaries with the
    keys of the outputs, or use `keras_deit.DeiTClassifier`, which has a single output.

    Args:
        num_classes: Number of classes.
        dtype: Dtype policy, for example `"mixed_bfloat16"`; None means the global one. The logits are float32 under every
            policy.
        name, trainable: As for every `keras.Model`.
        class_names: Names of the classes, which are saved with the model; None if unknown.
        preprocessing: A `keras_deit.Preprocessing` or a dictionary of its attributes: how images must be prepared for the
            model. The value is saved with the model; None if unknown.
        multi_label: Whether an image may have any number of classes, each decided on its own by a sigmoid of its logit. The
            value is saved with the model, and `keras_deit.Distiller.compile` sets it.
        **backbone_arguments: Constructor arguments of `keras_deit.DeiTBackbone`: `image_size`, `patch_size`,
            `hidden_dim`, `num_layers`, `num_heads`, `intermediate_dim`, `distilled`, `drop_path_rate`, ...

    Input shape:
        `(batch, height, width, 3)`: channels-last RGB images, normalised by mean and standard deviation of pixels in 0..1.

    Output shape:
        A dictionary of float32 logits: `class` `(batch, num_classes)` and, with `distilled=True`, `distillation`
        `(batch, num_classes)`.

    Raises:
        ValueError: If the number of class names differs from `num_classes`, or a value is out of range.

    Example:

    >>> import keras, keras_deit as kd
    >>> deit = kd.DeiT.from_variant("deit_ti", num_classes=10, num_layers=1)
    >>> sorted(deit(keras.ops.ones((1, 224, 224, 3))))
    ['class', 'distillation']

    Reference:
        Touvron et al., 2020 (arXiv 2012.12877), section 4, "Distillation through attention".
    """

    recorded_arguments = ("class_names", "preprocessing", "multi_label")

    def __init__(
        self,
        num_classes=1000,
        dtype=None,
        name="deit",
        trainable=True,
        class_names=None,
        preprocessing=None,
        multi_label=False,
        **backbone_arguments,
    ):
        num_classes = python_number(num_classes)
        class_names = check_class_names(class_names, num_classes)
        preprocessing = Preprocessing.of(preprocessing)
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
        self.class_names = class_names
        self.preprocessing = preprocessing
        self.multi_label = bool(multi_label)

    @property
    def backbone(self):
        """The `DeiTBackbone` of the model."""
        return self.get_layer("backbone")

    @property
    def distilled(self):
        """Whether the model has a distillation token and a distillation head."""
        return self.backbone.distilled

    def load_weights(self, filepath, skip_mismatch=False, **kwargs):
        """Loads a file of `save_weights`, see `keras.Model.load_weights`.

        Args:
            filepath, skip_mismatch: As for `keras.Model.load_weights`.
            **kwargs: As for `keras.Model.load_weights`.

        Raises:
            ValueError: If the file is of a `Distiller` or a `DeiTClassifier`, or does not fit.
        """
        advice = "`keras_deit.DeiTClassifier(deit).load_weights(path)` loads it into the variables of `deit`."
        check_weights_file(filepath, is_around_deit=False, advice=advice)
        super().load_weights(filepath, skip_mismatch=skip_mismatch, **kwargs)

    def call_with_attention(self, images, training=False):
        """Calls the model and returns the attention map of every block as well.

        Args:
            images: Normalised images `(batch, height, width, 3)`.
            training: Whether residual branches may be dropped.

        Returns:
            The dictionary of logits, and a list with one float32 map `(batch, heads, P + N, P + N)` per block.
        """
        features, maps = self.backbone.call_with_attention(images, training=training)
        return self._logits(features), maps

    def build_with_token_merging(self, images, token_merging):
        """Builds the graph of the model with similar tokens merged in every block, on the same variables.

        Args:
            images, token_merging: As for `keras_deit.DeiTBackbone.build_with_token_merging`.

        Returns:
            The dictionary of symbolic logits.
        """
        return self._logits(self.backbone.build_with_token_merging(images, token_merging))

    def _logits(self, features):
        outputs = {"class": self.get_layer("class_head")(features["class_token"])}
        if self.distilled:
            outputs["distillation"] = self.get_layer("distillation_head")(features["distillation_token"])
        return outputs

    def get_config(self):
        return {
            "num_classes": self.num_classes,
            **self.record_config(),
            **self.backbone_config(),
            **super().get_config(),
        }
