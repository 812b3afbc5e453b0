"""The base class of the models: building from variants, presets and checkpoints."""

import math

import keras
from keras import ops

from keras_deit.imaging.class_names import names_in_order
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.imaging.sizes import height_and_width
from keras_deit.layers.composite import CHANGES, changes_of, layers_inside, restore_changes
from keras_deit.models.checked_images import CheckedImages
from keras_deit.models.presets import open_preset
from keras_deit.models.variants import get_variant, matching_variants
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.kept_settings import KeptSettings
from keras_deit.runtime.keras_private import PortableCompileConfig
from keras_deit.runtime.numpy_numbers import check_at_least
from keras_deit.weights.checkpoint import HEADS
from keras_deit.weights.load import load
from keras_deit.weights.names import MASKED_IMAGE_PREFIXES

_FLOATS = {"bfloat16", "float16", "float32", "float64"}
_IDENTIFYING_ARGUMENTS = {  # by which the variant of a checkpoint is recognised
    "deit": ("hidden_dim", "num_layers", "patch_size", "prefix_positions"),
    "regnety": ("widths", "depths", "group_width"),
}
DEFAULT_IMAGE_SIZE = 224  # of the official evaluation, for a model that takes images of any size


class ImageModel(CheckedImages, PortableCompileConfig, KeptSettings, keras.Model):
    """A functional Keras model on images that can be rebuilt from its constructor arguments.

    Args:
        images: Symbolic input.
        outputs: Symbolic outputs.
        dtype: Dtype policy of the model; None means the global one.
        name: Name of the model.
        trainable: Whether the variables are trained.

    Attributes:
        family: `"deit"` or `"regnety"`: the family of variants and presets that the class can be built from.
        has_classes: Whether the class has classification heads.
        recorded_arguments: Names of the constructor arguments that describe the data of the weights: of `class_names`,
            `preprocessing` and `multi_label`, those that the class keeps.
        ignored_checkpoint_prefixes: First components of timm's names: tensors that the class does not load.
        quantization_modes: Modes of `quantize`.
        fresh_variable_prefixes: First components of variable paths: variables that keep their initial values if a checkpoint
            lacks them.
    """

    family = "deit"
    has_classes = True
    recorded_arguments = ()
    _class_names = None
    preprocessing = None
    multi_label = False
    ignored_checkpoint_prefixes = MASKED_IMAGE_PREFIXES
    quantization_modes = ("int8", "int4", "float8")
    fresh_variable_prefixes = ()

    def __init__(self, images, outputs, *, dtype, name, trainable=True):
        super().__init__(inputs=images, outputs=outputs, name=name, trainable=trainable)
        policy = keras.dtype_policies.get(dtype)
        if policy.quantization_mode is not None:
            raise ValueError(
                f"`dtype` must be a policy of floats. Received: {policy.name!r}. Build the model, load its weights and call "
                f"`model.quantize({policy.quantization_mode!r})`."
            )
        self.dtype_policy = policy

    @property
    def class_names(self):
        """Names of the classes, a tuple of strings in the order of the logits; None if unknown. They may be assigned."""
        return self._class_names

    @class_names.setter
    def class_names(self, class_names):
        self._class_names = check_class_names(class_names, self.num_classes)

    @classmethod
    def from_variant(cls, variant, **overrides):
        """Builds a published architecture with random weights.

        Args:
            variant: Name of a variant, see `keras_deit.list_variants()`.
            **overrides: Constructor arguments that replace the variant's, for example `image_size=384`.

        Returns:
            The model.

        Raises:
            ValueError: If there is no such variant; the message names similar ones.

        Example:

        >>> import keras_deit as kd
        >>> kd.DeiT.from_variant("deit_ti", num_classes=10, image_size=32, patch_size=8, num_layers=2).count_params()
        934868
        """
        return cls(**{**get_variant(variant, cls.family).arguments, **overrides})

    @classmethod
    def from_preset(cls, preset, num_classes=None, image_size=None, variant=None, weights_entry=None, **overrides):
        """Builds a model with trained weights. Weights that are not in the cache yet are downloaded.

        Args:
            preset: Name of a preset, see `keras_deit.list_presets()`; `"hf://owner/repository"`, optionally with
                `"@revision"`; or the path of a `.safetensors` or `.pth` file or of a directory, with weights in the names of
                timm, the official code or transformers.
            num_classes: Number of classes; None means the checkpoint's. For another number the heads are randomly
                initialised.
            image_size: Side of the images in pixels, or `(height, width)`; None means the checkpoint's. For another size the
                position embeddings are interpolated.
            variant: Name of the variant of a file; None means that it is inferred from the tensors' shapes.
            weights_entry: Key of the weights in a file that holds several, such as `"model_ema"`, see
                `keras_deit.weights.load`.
            **overrides: Constructor arguments that replace the checkpoint's, for example `drop_path_rate=0.1`,
                `distilled=True`, or `fusion="class"` for a `DeiTClassifier`. With a smaller `num_layers`, the first blocks
                of the checkpoint are used, and the model needs fine-tuning (Sajjad et al., 2020, arXiv 2004.03844).

        Returns:
            The model. A warning names its differences from the checkpoint.

        Raises:
            ImportError: If a package is missing; the message names the extra.
            OSError: If a download fails.
            ValueError: If there is no such preset or file, or the weights do not fit.

        Example:

        ```python
        model = kd.DeiTClassifier.from_preset("deit_small_distilled_patch16_224", num_classes=10)
        backbone = kd.DeiTBackbone.from_preset("deit_small_distilled_patch16_224", image_size=384)
        ```
        """
        cls.check_num_classes(num_classes)
        checkpoint, variant = open_preset(preset, cls.family, variant, weights_entry)
        model, notes = cls.from_checkpoint(checkpoint, variant, num_classes, image_size, **overrides)
        if notes:
            warn_caller(f"{preset}: {' '.join(notes)}")
        return model

    @classmethod
    def from_checkpoint(cls, checkpoint, variant=None, num_classes=None, image_size=None, **overrides):
        """Builds a model for an open checkpoint and loads the weights.

        Args:
            checkpoint: A `keras_deit.weights.checkpoint.Checkpoint`.
            variant: Name of its variant; None means that it is inferred from the tensors' shapes.
            num_classes, image_size: As for `from_preset`.
            **overrides: As for `from_preset`.

        Returns:
            The model, and a tuple of sentences that name its differences from the checkpoint.

        Raises:
            ValueError: If the weights do not fit.
        """
        cls.check_num_classes(num_classes)
        overrides = {name: value for name, value in overrides.items() if value is not None}
        if checkpoint.family != cls.family:
            raise ValueError(
                f"{cls.__name__} is of the family {cls.family!r}, but {checkpoint.label} is of the family "
                f"{checkpoint.family!r}."
            )
        if image_size is not None and cls.family == "deit":  # a convnet takes images of any size
            overrides["image_size"] = height_and_width(image_size)
        inferred = checkpoint.architecture(overrides.get("image_size"))
        ignore_prefixes = [*cls.ignored_checkpoint_prefixes, *cls.fresh_variable_prefixes]
        if cls.has_classes:
            if "num_classes" not in inferred:
                ignore_prefixes += HEADS
            overrides["num_classes"] = _inferred_classes(inferred, checkpoint) if num_classes is None else num_classes
        inferred.pop("num_classes", None)
        known = checkpoint.record(overrides.get("num_classes"))
        overrides = {**{name: known[name] for name in cls.recorded_arguments}, **overrides}
        if checkpoint.lacks_distillation_head:
            ignore_prefixes.append("distillation_head")
        model = cls(**_arguments(cls.family, checkpoint, inferred, variant, overrides))
        notes = ()
        if cls.family == "deit" and overrides.get("num_layers", math.inf) < inferred["num_layers"]:
            ignore_prefixes += [f"blocks.{index}" for index in range(overrides["num_layers"], inferred["num_layers"])]
            notes = (f"The first {overrides['num_layers']} of {inferred['num_layers']} blocks are used.",)
        return model, (*load(model, checkpoint, ignore_prefixes=ignore_prefixes).notes, *notes)

    @classmethod
    def check_num_classes(cls, num_classes):
        """Checks that a number of classes is given only to a class with classification heads.

        Args:
            num_classes: Number of classes, or None.

        Raises:
            ValueError: If the class has no classification heads and `num_classes` is not None.
        """
        if num_classes is not None and not cls.has_classes:
            raise ValueError(f"{cls.__name__} has no classes. Received: num_classes={num_classes}")

    def quantize(self, mode=None, config=None, filters=None, **kwargs):
        """Quantizes the kernels of all dense layers, also those in the encoder blocks.

        The quantized model is saved and loaded like any other. It cannot be written as a checkpoint of another framework.

        Args:
            mode: `"int8"` (kernels and, at each call, the inputs of dense layers), `"int4"` (kernels) or `"float8"` (for
                training); None means that of `config`.
            config, filters: As for `keras.Model.quantize`.
            **kwargs: As for `keras.Model.quantize`.

        Raises:
            ValueError: If the mode is another one, or a layer is quantized already.

        Example:

        >>> import keras_deit as kd
        >>> deit = kd.DeiT.from_variant("deit_ti", num_classes=10, num_layers=1)
        >>> deit.quantize("int8")
        >>> deit.backbone.blocks[0].mlp.expansion.quantization_mode
        'int8'
        """
        received = mode if config is None else config.mode
        if received not in self.quantization_modes:
            works = ", ".join(map(repr, self.quantization_modes)) or "no mode"
            raise ValueError(f"Keras can quantize a {type(self).__name__} in {works}. Received: {received!r}.")
        super().quantize(mode=mode, config=config, filters=filters, **kwargs)

    def to_dtype(self, dtype):
        """Copies the model with another precision, for example to predict in bfloat16.

        A Keras variable keeps its dtype, so the model itself does not change. The copy is saved, loaded and exported like
        any other model; the exports compute in float32 whatever the precision of the model.

        Args:
            dtype: Dtype policy. `"bfloat16"` stores the weights and computes in bfloat16, except for the heads, which have
                float32 weights and logits. With `"mixed_bfloat16"` the weights stay float32, as needed for training.
                Others: `"float16"`, `"mixed_float16"`, `"float32"` and `"float64"`.

        Returns:
            A model of the same class with variables of its own, not compiled. Its weights are rounded to the nearest values
            of the new dtype. Gradient checkpointing (`block.remat`) is that of the model.

        Raises:
            ValueError: If `dtype` is no policy of floats, or too small for a weight (above 65,504 in float16), or the model
                is quantized, or a layer outside the encoder blocks has LoRA.

        Example:

        >>> import keras_deit as kd
        >>> classifier = kd.DeiTClassifier.from_variant("deit_ti", num_classes=10, num_layers=1)
        >>> fast = classifier.to_dtype("bfloat16")
        >>> fast.backbone.blocks[0].mlp.expansion.kernel.dtype, fast.deit.get_layer("class_head").kernel.dtype
        ('bfloat16', 'float32')

        Reference:
            Kalamkar et al., 2019, A Study of BFLOAT16 for Deep Learning Training (arXiv 1905.12322).
        """
        policy = _policy_of_floats(dtype)
        _check_can_be_copied(self)
        copy = type(self).from_config(_with_dtype(self.get_config(), keras.dtype_policies.serialize(policy)))
        copy.set_weights(self.get_weights())
        _check_no_overflow(copy, self)
        for mine, theirs in zip(layers_inside(copy), layers_inside(self), strict=True):
            if hasattr(theirs, "remat"):  # no argument of the constructor
                mine.remat = theirs.remat
        return copy

    def image_processor(self, image_size=None, **overrides):
        """Builds the layer that prepares images for the model, as in the evaluation of the run or preset that it is from.

        Args:
            image_size: Side of the images in pixels, or `(height, width)`; None means the image size of the model or, for a
                model that takes images of any size, that of `preprocessing`.
            **overrides: Arguments of `keras_deit.ImageProcessor` that replace those of `preprocessing`.

        Returns:
            A `keras_deit.ImageProcessor`; that of the official evaluation if `model.preprocessing` is None.

        Example:

        >>> import keras_deit as kd
        >>> model = kd.DeiT.from_variant("deit_ti", num_layers=1, image_size=32, preprocessing={"crop_ratio": 1.0})
        >>> processor = model.image_processor()
        >>> processor.image_size, processor.crop_ratio
        ((32, 32), 1.0)
        """
        record = self.preprocessing or Preprocessing()
        own_size = getattr(self, "image_size", None) or record.image_size or DEFAULT_IMAGE_SIZE
        return record.processor(image_size or own_size, **overrides)

    def record_config(self):
        """Returns what `recorded_arguments` names, a dictionary that JSON can hold."""
        values = {
            "class_names": None if self.class_names is None else list(self.class_names),
            "preprocessing": None if self.preprocessing is None else self.preprocessing.get_config(),
            "multi_label": self.multi_label,
        }
        return {name: values[name] for name in self.recorded_arguments}

    @property
    def input_spec(self):
        """None, because the patch embedding checks the images' shape with a more helpful message."""
        return None

    def get_config(self):
        changes = changes_of(self)
        return {
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
            "trainable": self.trainable,
            **({CHANGES: changes} if changes else {}),
        }

    @classmethod
    def from_config(cls, config):
        model = cls(**{name: value for name, value in config.items() if name != CHANGES})
        if CHANGES in config or not config.get(
            "trainable", True
        ):  # else the constructor's own, such as `frozen_blocks`
            restore_changes(model, config.get(CHANGES, {}))
        return model


class BackboneMixin:
    """Properties and methods that a model with a `backbone` forwards to it."""

    @property
    def image_size(self):
        """Size of the images, `(height, width)` in pixels."""
        return self.backbone.image_size

    @property
    def num_prefix_tokens(self):
        """Number of prefix tokens, 2 with a distillation token and 1 without."""
        return self.backbone.num_prefix_tokens

    def freeze(self, up_to):
        """Freezes the patch embedding, the tokens and the first blocks, see `keras_deit.DeiTBackbone.freeze`.

        Args:
            up_to: Number of the last frozen block, counted from 1; 0 freezes only the patch embedding and the tokens, None
                unfreezes everything.

        Raises:
            ValueError: If there is no such block, or a layer has LoRA.
        """
        self.backbone.freeze(up_to)

    def backbone_config(self):
        """Returns the constructor arguments that the model passes to its backbone, a dictionary."""
        own = ("name", "dtype", "trainable", CHANGES)
        return {name: value for name, value in self.backbone.get_config().items() if name not in own}


def _inferred_classes(inferred, checkpoint):
    if "num_classes" not in inferred:
        raise ValueError(f"There is no head in {checkpoint.label}: pass `num_classes=...` for a new head.")
    return inferred["num_classes"]


def _arguments(family, checkpoint, inferred, variant, overrides):
    """Returns the constructor arguments for a checkpoint: the variant's, replaced by `inferred` and by `overrides`."""
    identifying = {name: inferred[name] for name in _IDENTIFYING_ARGUMENTS[family]}
    described = ", ".join(f"{name}={value}" for name, value in identifying.items())
    matching = matching_variants(identifying, family)
    if variant is not None:
        others = {name: value for name, value in identifying.items() if name not in overrides}
        if get_variant(variant, family).name not in matching_variants(others, family):
            hint = f" The variant that fits is {' or '.join(matching)}." if matching else ""
            raise ValueError(f"The variant {variant!r} does not fit {checkpoint.label}, which has {described}.{hint}")
    elif matching:
        variant = matching[0]
    elif family == "deit" and "num_heads" not in {**inferred, **overrides}:
        raise ValueError(
            f"No published variant fits {checkpoint.label}, which has {described}. The number of attention heads cannot be "
            "inferred from the tensors: pass `num_heads=...`."
        )
    known = {**(get_variant(variant, family).arguments if variant else {}), **inferred}
    is_num_heads_known = matching or "num_heads" in inferred
    if is_num_heads_known and overrides.get("num_heads", known.get("num_heads")) != known.get("num_heads"):
        raise ValueError(
            f"The weights need num_heads={known['num_heads']} in {checkpoint.label}. Received: "
            f"num_heads={overrides['num_heads']}"
        )
    return {**known, **overrides}


def check_class_names(class_names, num_classes):
    """Checks that there is one name for each class.

    Args:
        class_names: List of the names of the classes, strings or integers; or None.
        num_classes: Number of classes.

    Returns:
        The names as a tuple of strings, or None.

    Raises:
        ValueError: If the number of names is another one, or `names_in_order` cannot read them.

    Example:

    >>> check_class_names([3, "cat"], 2)
    ('3', 'cat')
    """
    if class_names is None:
        return None
    names = names_in_order(class_names)
    if len(names) != num_classes:
        raise ValueError(
            f"`class_names` must have one name per class. Received: {len(names)} names, num_classes={num_classes}"
        )
    return names


def head_dtype(policy):
    """Returns the dtype of the heads: at least float32, because logits in half precision are too coarse.

    Args:
        policy: Dtype policy of the model.

    Returns:
        `"float32"`, or `"float64"` for a float64 model.
    """
    return "float64" if keras.dtype_policies.get(policy).variable_dtype == "float64" else "float32"


def classification_head(num_classes, policy, name):
    """Returns a linear classification head with DeiT's initial values: kernel normal with σ = 0.02, biases zero.

    Args:
        num_classes: Number of classes.
        policy: Dtype policy of the model.
        name: Name of the layer.

    Returns:
        A `keras.layers.Dense` layer.

    Raises:
        ValueError: If `num_classes` is no positive integer.
    """
    check_at_least(1, num_classes=num_classes)
    initializer = keras.initializers.RandomNormal(stddev=0.02)
    return keras.layers.Dense(num_classes, kernel_initializer=initializer, dtype=head_dtype(policy), name=name)


def _policy_of_floats(dtype):
    """Returns the dtype policy of the argument of `to_dtype`."""
    policy = keras.dtype_policies.get(dtype)
    if not {policy.variable_dtype, policy.compute_dtype} <= _FLOATS:
        raise ValueError(f"`dtype` must be a policy of floats, such as 'bfloat16'. Received: {policy.name!r}")
    return policy


def _check_can_be_copied(model):
    """Checks that `to_dtype` can copy the kernels of a model."""
    layers = layers_inside(model)
    if any(layer.quantization_mode for layer in layers):
        raise ValueError(
            "`to_dtype` needs a model whose kernels are floats. Received: a quantized model. Call `to_dtype` first, then "
            "`quantize`."
        )
    lost = [layer.path for layer in layers if getattr(layer, "lora_enabled", False) and not _keeps_lora(layer)]
    if lost:
        raise ValueError(
            f"`to_dtype` copies LoRA only in the dense layers of encoder blocks. Received: LoRA in {', '.join(lost)}. Add "
            "the matrices to the kernels before: `keras_deit.lora.merge(model).to_dtype(...)`."
        )


def _keeps_lora(layer):
    return getattr(layer, "keeps_lora", False)


def _check_no_overflow(copy, model):
    """Checks that the finite weights of a model are finite in a copy with another dtype."""
    for mine, theirs in zip(copy.weights, model.weights, strict=True):
        if ops.any(ops.logical_and(ops.isfinite(theirs), ops.logical_not(ops.isfinite(mine)))):
            raise ValueError(
                f"The values of {theirs.path!r} are too large for {mine.dtype}. Pass another `dtype`, such as 'bfloat16'."
            )


def _with_dtype(config, policy):
    """Returns the config of a model with another serialized dtype policy, also for the models inside of it."""
    inside = {
        name: {**value, "config": _with_dtype(value["config"], policy)}
        for name, value in config.items()
        if isinstance(value, dict) and "dtype" in value.get("config", {})
    }
    return {**config, **inside, "dtype": policy}
