"""The model that gives one answer an image."""

import types

import keras

from keras_deit.fusion import EARLY_FUSIONS, fuse
from keras_deit.models.deit import DeiT
from keras_deit.models.image_model import BackboneMixin, ImageModel, classification_head
from keras_deit.models.variants import get_variant

LATE_FUSIONS = ("concat", "sum")


@keras.saving.register_keras_serializable(package="keras_deit")
class Fuse(keras.layers.Layer):
    """`keras_deit.fusion.fuse` as a layer: a list of one or two logits `(batch, classes)` to one.

    Args:
        fusion: See `keras_deit.fusion.fuse`.
    """

    def __init__(self, fusion, **kwargs):
        super().__init__(**kwargs)
        self.fusion = fusion

    def call(self, logits):
        return fuse(*logits, fusion=self.fusion)

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "fusion": self.fusion}


@keras.saving.register_keras_serializable(package="keras_deit")
class DeiTClassifier(BackboneMixin, ImageModel):
    """Images to logits, the two heads fused: the model for inference and for plain fine-tuning.

    Args:
        deit: A `keras_deit.DeiT`. Its variables are shared until the classifier is saved.
        fusion: `"mean_logits"` (the official code), `"mean_probabilities"` (the paper's wording, returned as
            log-probabilities), `"class"`, `"distillation"`; or, for fine-tuning, `"concat"` or `"sum"` of the two
            embeddings before one head of their own, which starts fresh. With one token the class logits are the mean.
        dtype: Dtype policy of the classifier itself; None means that of `deit`.
        name, trainable: As for every Keras model.

    Input shape:
        `(batch, height, width, 3)`: channels-last RGB, normalised by a mean and a standard deviation of pixels in 0..1.

    Output shape:
        `(batch, num_classes)`, float32 logits.

    Raises:
        ValueError: If the fusion is unknown or needs a second token that `deit` does not have.

    Example:

    >>> import keras, keras_deit as kd
    >>> classifier = kd.DeiTClassifier.from_variant("deit_ti", num_classes=10, num_layers=1)
    >>> tuple(classifier(keras.ops.ones((1, 224, 224, 3))).shape)
    (1, 10)

    Reference:
        Touvron et al., 2020 (arXiv 2012.12877), section 4, "Classification with our approach", and table 3.
    """

    def __init__(self, deit, fusion="mean_logits", dtype=None, name="deit_classifier", trainable=True):
        if not isinstance(deit, DeiT):
            raise ValueError(f"`deit` must be a keras_deit.DeiT. Received: {type(deit).__name__}")
        if fusion not in (*EARLY_FUSIONS, *LATE_FUSIONS):
            raise ValueError(f"`fusion` must be one of {(*EARLY_FUSIONS, *LATE_FUSIONS)}. Received: fusion={fusion!r}")
        if not deit.distilled and fusion in ("distillation", *LATE_FUSIONS):
            raise ValueError(
                f"fusion={fusion!r} needs two tokens, and this model has one. Build it with `distilled=True`, or "
                "choose 'mean_logits', 'mean_probabilities' or 'class'."
            )
        policy = deit.dtype_policy if dtype is None else keras.dtype_policies.get(dtype)
        images = keras.Input(deit.input_shape[1:], name="images", dtype=policy.variable_dtype)
        if fusion in LATE_FUSIONS:
            features = deit.backbone(images)
            embeddings = [features["class_token"], features["distillation_token"]]
            head = classification_head(deit.num_classes, policy, "fusion_head")
            logits = head(_join(embeddings, fusion))
        else:
            outputs = deit(images)
            heads = [outputs[key] for key in ("class", "distillation") if key in outputs]
            logits = Fuse(fusion, dtype=heads[0].dtype, name="fuse")(heads)
        super().__init__(images, logits, dtype=policy, name=name, trainable=trainable)
        self.fusion = fusion
        self._parts = types.SimpleNamespace(deit=deit)  # untracked: a late fusion leaves the heads of `deit` out

    @classmethod
    def from_variant(cls, variant, fusion="mean_logits", name="deit_classifier", **overrides):
        """Builds a published architecture with fresh weights and fuses its heads.

        Args:
            variant: Name of a variant, see `keras_deit.list_variants()`.
            fusion, name: See the class.
            **overrides: Any constructor arguments of `keras_deit.DeiT` that should differ.

        Returns:
            The classifier.

        Raises:
            ValueError: If there is no such variant; the message names the nearest ones.

        Example:

        >>> import keras_deit as kd
        >>> kd.DeiTClassifier.from_variant("deit_ti", fusion="sum", num_classes=10, num_layers=1).output_shape
        (None, 10)
        """
        return cls(DeiT(**{**get_variant(variant).arguments, **overrides}), fusion=fusion, name=name)

    @classmethod
    def from_checkpoint(
        cls, checkpoint, variant=None, *sizes, fusion="mean_logits", name="deit_classifier", **overrides
    ):
        """Builds a `DeiT` for an open checkpoint, loads it and fuses its heads, see `DeiT.from_checkpoint`."""
        deit, notes = DeiT.from_checkpoint(checkpoint, variant, *sizes, **overrides)
        if checkpoint.lacks_distillation_head and fusion in EARLY_FUSIONS:
            fusion = "class"
            notes = (*notes, "The class head alone answers.")
        elif fusion in LATE_FUSIONS:
            notes = (*notes, f"The head of fusion={fusion!r} is fresh, to be fine-tuned.")
        return cls(deit, fusion=fusion, name=name), notes

    @property
    def deit(self):
        """The `DeiT` whose heads, or whose embeddings, are fused."""
        return self._parts.deit

    @property
    def backbone(self):
        """The `DeiTBackbone`."""
        return self.deit.backbone

    @property
    def num_classes(self):
        """Number of classes."""
        return self.deit.num_classes

    @property
    def class_names(self):
        """Names of the classes, or None."""
        return self.deit.class_names

    def call_with_attention(self, images, training=False):
        """Runs the model and keeps the attention map of every block.

        Args:
            images: As for a plain call.
            training: Whether residual branches may be dropped.

        Returns:
            The logits and a list, over the blocks, of float32 maps `(batch, heads, P + N, P + N)`.
        """
        if self.fusion in LATE_FUSIONS:
            features, maps = self.backbone.call_with_attention(images, training=training)
            embeddings = [features["class_token"], features["distillation_token"]]
            return self.get_layer("fusion_head")(_join(embeddings, self.fusion)), maps
        outputs, maps = self.deit.call_with_attention(images, training=training)
        return self.get_layer("fuse")([outputs[key] for key in ("class", "distillation") if key in outputs]), maps

    def get_config(self):
        return {
            "deit": keras.saving.serialize_keras_object(self.deit),
            "fusion": self.fusion,
            **super().get_config(),
        }

    @classmethod
    def from_config(cls, config):
        config = {**config, "deit": keras.saving.deserialize_keras_object(config["deit"])}
        return cls(**config)


def _join(embeddings, fusion):
    return keras.ops.concatenate(embeddings, axis=-1) if fusion == "concat" else embeddings[0] + embeddings[1]
