"""What the models share."""

import warnings

import keras

from keras_deit import weights
from keras_deit.imaging.sizes import height_and_width
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
        has_classes: Whether it has heads for classes.
        ignored_checkpoint_prefixes: Beginnings of the names, in timm's dialect, of what of a checkpoint it has no use for.
        fresh_beside_checkpoints: Beginnings of the names of its variables that a checkpoint need not have.
    """

    family = "deit"
    has_classes = True
    ignored_checkpoint_prefixes = weights.MASKED_IMAGE_PARTS
    fresh_beside_checkpoints = ()

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
        if num_classes is not None and not cls.has_classes:
            raise ValueError(f"{cls.__name__} has no classes. Received: num_classes={num_classes}")
        checkpoint, variant = open_preset(preset, cls.family, variant)
        model, notes = cls.from_checkpoint(checkpoint, variant, num_classes, image_size, **overrides)
        if notes:
            warnings.warn(f"{preset}: {' '.join(notes)}", stacklevel=2)
        return model

    @classmethod
    def from_checkpoint(cls, checkpoint, variant=None, num_classes=None, image_size=None, **overrides):
        """Builds a model for an open checkpoint and loads it.

        Args:
            checkpoint: `keras_deit.weights.Checkpoint`.
            variant: Name of its variant; None means to tell it by the shapes.
            num_classes, image_size: None means the checkpoint's.
            **overrides: Constructor's arguments that should differ.

        Returns:
            The model and a list of sentences about what of it is not the checkpoint's.

        Raises:
            ValueError: If the weights do not fit.
        """
        overrides = {name: value for name, value in overrides.items() if value is not None}
        if checkpoint.family != cls.family:
            raise ValueError(f"{checkpoint.label} is of the family {checkpoint.family!r}, and {cls.__name__} is not.")
        if image_size is not None and cls.family == "deit":  # a convnet takes images of any size
            overrides["image_size"] = height_and_width(image_size)
        shown = checkpoint.architecture(overrides.get("image_size"))
        ignore_prefixes = [*cls.ignored_checkpoint_prefixes, *cls.fresh_beside_checkpoints]
        if cls.has_classes:
            overrides["num_classes"] = num_classes or _required(shown, "num_classes", checkpoint)
            ignore_prefixes += [] if "num_classes" in shown else weights.HEADS
        shown.pop("num_classes", None)
        if checkpoint.lacks_distillation_head:
            ignore_prefixes.append("distillation_head/")
        model = cls(**_arguments(cls.family, checkpoint, shown, variant, overrides))
        return model, weights.load(model, checkpoint, ignore_prefixes=ignore_prefixes).notes

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


class BackboneMixin:
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


def _required(shown, name, checkpoint):
    if name not in shown:
        raise ValueError(f"{checkpoint.label} has no head: say `num_classes=...` of the fresh one.")
    return shown[name]


def _arguments(family, checkpoint, shown, variant, overrides):
    """Constructor's arguments for a checkpoint: its variant's, over them what it shows, over that the caller's."""
    telling = {name: shown[name] for name in _TELLING[family]}
    described = ", ".join(f"{name}={value}" for name, value in telling.items())
    alike = variants_like(telling, family)
    if variant is not None:
        others = {name: value for name, value in telling.items() if name not in overrides}
        if get_variant(variant, family).name not in variants_like(others, family):
            hint = f" It looks like {', '.join(alike)}." if alike else ""
            raise ValueError(f"{checkpoint.label} is of no {variant!r}: {described}.{hint}")
    elif alike:
        variant = alike[0]
    elif family == "deit" and "num_heads" not in {**shown, **overrides}:
        raise ValueError(
            f"{checkpoint.label} is of no published variant: {described}. No tensor shows its number of heads: pass "
            "`num_heads=...`."
        )
    known = {**(get_variant(variant, family).arguments if variant else {}), **shown}
    if (alike or "num_heads" in shown) and overrides.get("num_heads", known.get("num_heads")) != known.get("num_heads"):
        raise ValueError(
            f"{checkpoint.label} is of a model with num_heads={known['num_heads']}, and with another number its weights "
            f"mean something else. Received: num_heads={overrides['num_heads']}"
        )
    return {**known, **overrides}


def head_dtype(policy):
    """Dtype of a classification head: logits in half precision would lose digits, so never less than float32."""
    return "float64" if keras.dtype_policies.get(policy).variable_dtype == "float64" else "float32"


def classification_head(num_classes, policy, name):
    """A linear classifier with DeiT's initial values (normal of σ 0.02, zero biases)."""
    if num_classes < 1:
        raise ValueError(f"`num_classes` must be positive. Received: num_classes={num_classes}")
    initializer = keras.initializers.RandomNormal(stddev=0.02)
    return keras.layers.Dense(num_classes, kernel_initializer=initializer, dtype=head_dtype(policy), name=name)
