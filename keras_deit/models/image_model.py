"""What the models share."""

import warnings

import keras

from keras_deit import weights
from keras_deit.models.presets import open_preset
from keras_deit.models.variants import get_variant, variants_like

_TELLING = {  # which of a variant's arguments tell it from the others
    "deit": ("hidden_dim", "num_layers", "patch_size", "prefix_positions"),
    "regnety": ("widths", "depths", "group_width"),
}


class ImageModel(keras.Model):
    """A functional model on images that can be rebuilt from its constructor's arguments.

    Args:
        images: The symbolic input.
        outputs: The symbolic outputs.
        dtype: Dtype policy of the model, or None for the global one.
        name: Name of the model.
        trainable: Whether the variables are trained.

    Attributes:
        family: Which variants and presets a class can be built from.
        absent_from_presets: Beginnings of the names of what a published checkpoint has and the class has not, or the
            class and not the checkpoint.
    """

    family = "deit"
    absent_from_presets = ()

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
        return cls(**{**get_variant(variant, cls.family).arguments, **overrides})

    @classmethod
    def from_preset(cls, preset, num_classes=None, image_size=None, variant=None, **overrides):
        """Builds a model with trained weights, downloading them where they are not at hand yet.

        Args:
            preset: Name of a preset, see `keras_deit.list_presets()`; `"hf://owner/repository"`, also with `"@revision"`;
                or the path of a `.safetensors` or `.pth` file or of a directory, with weights in the names of timm, of the
                official code or of transformers.
            num_classes: Number of classes; None means the checkpoint's. Heads for another number are fresh.
            image_size: Side in pixels or `(height, width)`; None means the checkpoint's. For another size the positions are
                resized.
            variant: Name of the variant that a file is of, where it shall not be told by the shapes of the tensors.
            **overrides: Any constructor arguments that should differ, for example `drop_path_rate=0.1`, `distilled=True`, or
                `fusion="class"` of a `DeiTClassifier`.

        Returns:
            The model. A warning says what of it is not the checkpoint's.

        Raises:
            ImportError: If a package is missing; the message names the extra.
            OSError: If a download fails.
            ValueError: If there is no such preset or file, or the weights do not fit.

        Example:

        ```python
        model = kd.DeiTClassifier.from_preset("deit_small_distilled_patch16_224", num_classes=10)
        ```
        """
        checkpoint, known_variant = open_preset(preset, cls.family)
        given = {"num_classes": num_classes, "image_size": image_size, **overrides}
        model, notes = cls.from_checkpoint(checkpoint, known_variant or variant, **given)
        if notes:
            warnings.warn(f"{preset}: {' '.join(notes)}", stacklevel=2)
        return model

    @classmethod
    def from_checkpoint(cls, checkpoint, variant=None, **overrides):
        """Builds a model for an open checkpoint and loads it.

        Args:
            checkpoint: `keras_deit.weights.Checkpoint`.
            variant: Name of its variant; None means to tell it by the shapes.
            **overrides: Constructor's arguments that should differ; None means the checkpoint's.

        Returns:
            The model and a list of sentences about what of it is not the checkpoint's.

        Raises:
            ValueError: If the weights do not fit.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        model = cls(**_arguments(cls, checkpoint, variant, given))
        return model, weights.load(model, checkpoint, may_differ=cls.absent_from_presets).notes

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


class TransformerMembers:
    """What the models around a `backbone` tell of it."""

    @property
    def image_size(self):
        """`(height, width)` in pixels."""
        return self.backbone.image_size

    @property
    def num_prefix_tokens(self):
        """2 with a distillation token, 1 without."""
        return self.backbone.num_prefix_tokens

    def freeze(self, up_to):
        """Freezes the first blocks of the backbone, see `DeiTBackbone.freeze`."""
        self.backbone.freeze(up_to)

    def backbone_config(self):
        """The constructor's arguments that a model hands on to its backbone."""
        own = ("name", "dtype", "trainable")
        return {name: value for name, value in self.backbone.get_config().items() if name not in own}


def _arguments(model_class, checkpoint, variant, overrides):
    """Constructor's arguments for a checkpoint: its variant's, over them what its shapes show, over that the caller's."""
    family = model_class.family
    if checkpoint.family != family:
        raise ValueError(
            f"{checkpoint.label} is of the family {checkpoint.family!r}, and {model_class.__name__} is not."
        )
    shown = checkpoint.architecture()
    telling = {name: shown[name] for name in _TELLING[family] if name not in overrides}
    alike = variants_like(telling, family)
    described = ", ".join(f"{name}={value}" for name, value in telling.items())
    if variant is not None and get_variant(variant, family).name not in alike:
        hint = f" It looks like {', '.join(alike)}." if alike else ""
        raise ValueError(f"{checkpoint.label} is of no {variant!r}: {described}.{hint}")
    if variant is None and not alike and family == "deit" and "num_heads" not in overrides:
        raise ValueError(
            f"{checkpoint.label} is of no published variant: {described}. No tensor shows its number of heads: pass "
            "`num_heads=...`."
        )
    if "head" in model_class.absent_from_presets:
        shown.pop("num_classes", None)
    variant = variant or next(iter(alike), None)
    return {**(get_variant(variant, family).arguments if variant else {}), **shown, **overrides}


def head_dtype(policy):
    """Dtype of a classification head: logits in half precision would lose digits, so never less than float32."""
    return "float64" if keras.dtype_policies.get(policy).variable_dtype == "float64" else "float32"


def classification_head(num_classes, policy, name):
    """A linear classifier with DeiT's initial values (normal of σ 0.02, zero biases)."""
    if num_classes < 1:
        raise ValueError(f"`num_classes` must be positive. Received: num_classes={num_classes}")
    initializer = keras.initializers.RandomNormal(stddev=0.02)
    return keras.layers.Dense(num_classes, kernel_initializer=initializer, dtype=head_dtype(policy), name=name)
