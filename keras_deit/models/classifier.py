"""The classifier with one output per image: the heads of a DeiT, fused."""

import types

import keras

from keras_deit.fusion import EARLY_FUSIONS, fuse
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.models.deit import DeiT
from keras_deit.models.image_model import BackboneMixin, ImageModel, classification_head
from keras_deit.models.variants import get_variant
from keras_deit.runtime.keras_file import check_weights_file, refuse_weights_file
from keras_deit.runtime.numpy_numbers import check_at_least, python_number

LATE_FUSIONS = ("concat", "sum")


@keras.saving.register_keras_serializable(package="keras_deit")
class Fuse(keras.layers.Layer):
    """`keras_deit.fusion.fuse` as a layer.

    Args:
        fusion: One of `keras_deit.fusion.EARLY_FUSIONS`, see `keras_deit.fusion.fuse`.

    Input shape:
        List of one or two tensors `(batch, classes)`: class logits and, for two tokens, distillation logits.

    Output shape:
        `(batch, classes)`.
    """

    def __init__(self, fusion, **kwargs):
        super().__init__(**kwargs)
        self.fusion = fusion

    def call(self, logits):
        """Fuses the logits."""
        return fuse(*logits, fusion=self.fusion)

    def compute_output_shape(self, input_shape):
        """Returns `(batch, classes)`."""
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "fusion": self.fusion}


@keras.saving.register_keras_serializable(package="keras_deit")
class DeiTClassifier(BackboneMixin, ImageModel):
    """Images to logits, with the two heads fused: the model for inference and for plain fine-tuning.

    Args:
        deit: A `keras_deit.DeiT`. The classifier shares the variables of `deit` until the classifier is saved and loaded.
        fusion: How the two heads are fused. `"mean_logits"` (the official code), `"mean_probabilities"` (the paper's
            description; returns log-probabilities), `"class"` and `"distillation"` use the heads of `deit`, see
            `keras_deit.fusion.fuse`. `"concat"` and `"sum"` are for fine-tuning: they concatenate or add the class and
            distillation tokens before a new head, which is randomly initialised.
        dtype: Dtype policy of the fusion and its head; None means the policy of `deit`.
        name, trainable: As for every `keras.Model`.
        token_merging: Number of similar tokens that each block merges, an integer of at least 0; at most half of the patch
            tokens that are left are merged. The later blocks compute less, and the predictions change.

    Input shape:
        `(batch, height, width, 3)`: channels-last RGB images, normalised by mean and standard deviation of pixels in 0..1.

    Output shape:
        `(batch, num_classes)`, float32 logits.

    Raises:
        ValueError: If `deit` is no `DeiT`, or `fusion` is unknown, needs a distillation token that `deit` lacks, or takes a
            softmax over the classes of a multi-label model, or if `token_merging` is out of range.

    Example:

    >>> import keras, keras_deit as kd
    >>> classifier = kd.DeiTClassifier.from_variant("deit_ti", num_classes=10, num_layers=1)
    >>> tuple(classifier(keras.ops.ones((1, 224, 224, 3))).shape)
    (1, 10)

    Reference:
        Touvron et al., 2020 (arXiv 2012.12877), section 4, "Classification with our approach", and table 3. Merging of
        tokens: Bolya et al., 2022 (arXiv 2210.09461).
    """

    def __init__(
        self, deit, fusion="mean_logits", dtype=None, name="deit_classifier", trainable=True, *, token_merging=0
    ):
        if not isinstance(deit, DeiT):
            raise ValueError(f"`deit` must be a keras_deit.DeiT. Received: {type(deit).__name__}")
        if fusion not in (*EARLY_FUSIONS, *LATE_FUSIONS):
            raise ValueError(f"`fusion` must be one of {(*EARLY_FUSIONS, *LATE_FUSIONS)}. Received: fusion={fusion!r}")
        if not deit.distilled and fusion in ("distillation", *LATE_FUSIONS):
            raise ValueError(
                f"fusion={fusion!r} needs two tokens, but this model has one. Build the model with `distilled=True`, or "
                "choose 'mean_logits', 'mean_probabilities' or 'class'."
            )
        if deit.multi_label and fusion == "mean_probabilities":
            raise ValueError(
                "fusion='mean_probabilities' takes a softmax over the classes, but this model is multi-label: it decides "
                "about each class on its own. Choose 'mean_logits'."
            )
        check_at_least(0, token_merging=token_merging)
        token_merging = python_number(token_merging)
        policy = deit.dtype_policy if dtype is None else keras.dtype_policies.get(dtype)
        images = keras.Input(deit.input_shape[1:], name="images", dtype=policy.variable_dtype)
        if fusion in LATE_FUSIONS:
            features = _call(deit.backbone, images, token_merging)
            embeddings = [features["class_token"], features["distillation_token"]]
            head = classification_head(deit.num_classes, policy, "fusion_head")
            logits = head(_join(embeddings, fusion))
        else:
            outputs = _call(deit, images, token_merging)
            heads = [outputs[key] for key in ("class", "distillation") if key in outputs]
            logits = Fuse(fusion, dtype=heads[0].dtype, name="fuse")(heads)
        super().__init__(images, logits, dtype=policy, name=name, trainable=trainable)
        self.fusion = fusion
        self.token_merging = token_merging
        self._untracked = types.SimpleNamespace(
            deit=deit
        )  # Keras must not track the heads that a late fusion does not use

    @classmethod
    def from_variant(cls, variant, fusion="mean_logits", name="deit_classifier", *, token_merging=0, **overrides):
        """Builds a published architecture with random weights and fuses its heads.

        Args:
            variant: Name of a variant, see `keras_deit.list_variants()`.
            fusion, name, token_merging: As for the constructor.
            **overrides: Constructor arguments of `keras_deit.DeiT` that replace the variant's, for example
                `num_classes=10`.

        Returns:
            The `DeiTClassifier`.

        Raises:
            ValueError: If there is no such variant; the message names similar ones.

        Example:

        >>> import keras_deit as kd
        >>> kd.DeiTClassifier.from_variant("deit_ti", fusion="sum", num_classes=10, num_layers=1).output_shape
        (None, 10)
        """
        deit = DeiT(**{**get_variant(variant).arguments, **overrides})
        return cls(deit, fusion=fusion, token_merging=token_merging, name=name)

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint,
        variant=None,
        num_classes=None,
        image_size=None,
        fusion="mean_logits",
        name="deit_classifier",
        *,
        token_merging=0,
        **overrides,
    ):
        """Builds a `DeiT` for an open checkpoint, loads its weights and fuses its heads.

        Args:
            checkpoint, variant, num_classes, image_size: As for `DeiT.from_checkpoint`.
            fusion, name, token_merging: As for the constructor. If the checkpoint has no distillation head, an early fusion
                becomes `"class"`.
            **overrides: As for `DeiT.from_checkpoint`.

        Returns:
            The `DeiTClassifier`, and a tuple of sentences that name its differences from the checkpoint.

        Raises:
            ValueError: If the weights do not fit.
        """
        deit, notes = DeiT.from_checkpoint(checkpoint, variant, num_classes, image_size, **overrides)
        if checkpoint.lacks_distillation_head and fusion in EARLY_FUSIONS:
            fusion = "class"
            notes = (*notes, "Only the class head is used.")
        elif fusion in LATE_FUSIONS:
            notes = (*notes, f"The head of fusion={fusion!r} is randomly initialised and needs fine-tuning.")
        return cls(deit, fusion=fusion, token_merging=token_merging, name=name), notes

    @property
    def deit(self):
        """The `DeiT` whose heads or tokens are fused."""
        return self._untracked.deit

    @property
    def backbone(self):
        """The `DeiTBackbone` of the model."""
        return self.deit.backbone

    @property
    def num_classes(self):
        """Number of classes."""
        return self.deit.num_classes

    @property
    def class_names(self):
        """Names of the classes, a tuple of strings in the order of the logits; None if unknown. They may be assigned."""
        return self.deit.class_names

    @class_names.setter
    def class_names(self, class_names):
        self.deit.class_names = class_names

    @property
    def preprocessing(self):
        """How images must be prepared for the model, a `keras_deit.Preprocessing`; None if unknown. It may be assigned."""
        return self.deit.preprocessing

    @preprocessing.setter
    def preprocessing(self, preprocessing):
        self.deit.preprocessing = Preprocessing.of(preprocessing)

    @property
    def multi_label(self):
        """Whether an image may have any number of classes, see `keras_deit.DeiT`."""
        return self.deit.multi_label

    @multi_label.setter
    def multi_label(self, multi_label):
        self.deit.multi_label = multi_label

    def load_weights(self, filepath, skip_mismatch=False, **kwargs):
        """Loads a file of `save_weights`, see `keras.Model.load_weights`.

        Args:
            filepath, skip_mismatch: As for `keras.Model.load_weights`.
            **kwargs: As for `keras.Model.load_weights`.

        Raises:
            ValueError: If the file is of a `DeiT`, of a classifier that merges tokens and this one does not, or the reverse,
                or does not fit.
        """
        is_late = self.fusion in LATE_FUSIONS
        if not is_late:
            advice = "load it with `classifier.deit.load_weights(path)`."
            check_weights_file(filepath, is_around_deit=True, advice=advice)
        if self.token_merging:
            plain = "a Distiller or a DeiTClassifier without token_merging"
            layer = "dei_t_backbone" if is_late else "dei_t"
            refuse_weights_file(filepath, layer, plain, self._way_to_load(""))
        else:
            merging = "a DeiTClassifier with token_merging"
            refuse_weights_file(filepath, "merging_encoder", merging, self._way_to_load(", token_merging=1"))
        super().load_weights(filepath, skip_mismatch=skip_mismatch, **kwargs)

    def _way_to_load(self, token_merging):
        if self.fusion in LATE_FUSIONS:  # the head is not shared
            arguments = f"classifier.deit, fusion={self.fusion!r}{token_merging}"
            return (
                f"build `other = keras_deit.DeiTClassifier({arguments})`, and call `other.load_weights(path)` and "
                "`classifier.set_weights(other.get_weights())`."
            )
        other = f"keras_deit.DeiTClassifier(classifier.deit{token_merging})"
        return f"`{other}.load_weights(path)` loads it into the same variables."

    def call_with_attention(self, images, training=False):
        """Calls the model and returns the attention map of every block as well.

        Args:
            images: Normalised images `(batch, height, width, 3)`.
            training: Whether residual branches may be dropped.

        Returns:
            The logits, and a list with one float32 map `(batch, heads, P + N, P + N)` per block.

        Raises:
            ValueError: If the model merges tokens, whose maps have fewer rows in each block.
        """
        check_whole_tokens(self)
        if self.fusion in LATE_FUSIONS:
            features, maps = self.backbone.call_with_attention(images, training=training)
            embeddings = [features["class_token"], features["distillation_token"]]
            return self.get_layer("fusion_head")(_join(embeddings, self.fusion)), maps
        outputs, maps = self.deit.call_with_attention(images, training=training)
        return self.get_layer("fuse")([outputs[key] for key in ("class", "distillation") if key in outputs]), maps

    def record_config(self):
        """Returns the record of `deit`, a dictionary that JSON can hold."""
        return self.deit.record_config()

    def get_config(self):
        return {
            "deit": keras.saving.serialize_keras_object(self.deit),
            "fusion": self.fusion,
            "token_merging": self.token_merging,
            **super().get_config(),
        }

    @classmethod
    def from_config(cls, config):
        return super().from_config({**config, "deit": keras.saving.deserialize_keras_object(config["deit"])})


def check_whole_tokens(model):
    """Checks that every token of a model stands for one patch.

    Args:
        model: Model.

    Raises:
        ValueError: If it is a `DeiTClassifier` that merges tokens.
    """
    if getattr(model, "token_merging", 0):
        raise ValueError(
            "The attention maps of a model that merges tokens do not cover the patches. Received: a model with "
            f"token_merging={model.token_merging}. Use {way_without_merging(model)}."
        )


def way_without_merging(classifier):
    """Says how to build a classifier that merges tokens without the merging.

    Args:
        classifier: A `DeiTClassifier`.

    Returns:
        A part of a message.
    """
    way = f"`plain = keras_deit.DeiTClassifier(classifier.deit, fusion={classifier.fusion!r})`"
    return f"{way} after `plain.set_weights(classifier.get_weights())`" if classifier.fusion in LATE_FUSIONS else way


def _call(model, images, token_merging):
    return model.build_with_token_merging(images, token_merging) if token_merging else model(images)


def _join(embeddings, fusion):
    return keras.ops.concatenate(embeddings, axis=-1) if fusion == "concat" else embeddings[0] + embeddings[1]
