"""Loading a trained model from any kind of source."""

import keras

from keras_deit.imaging.sizes import height_and_width
from keras_deit.layers.composite import CHANGES
from keras_deit.layers.lora import lora_layers, merge
from keras_deit.models.application import ApplicationClassifier
from keras_deit.models.classifier import LATE_FUSIONS, DeiTClassifier
from keras_deit.models.deit import DeiT
from keras_deit.models.image_model import ImageModel
from keras_deit.models.masked_image_model import DeiTMaskedImageModel
from keras_deit.models.presets import find_preset, open_preset
from keras_deit.models.regnet import RegNetY
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.files import user_path
from keras_deit.runtime.keras_file import load_keras_file
from keras_deit.runtime.similar_names import did_you_mean, similar_paths
from keras_deit.weights.checkpoint import HEADS
from keras_deit.weights.files import HUB_FILES, is_checkpoint
from keras_deit.weights.load import load
from keras_deit.weights.write import as_checkpoint

STUDENT_FILE = "student.keras"  # the model in the output directory of a run


def pretrained(
    source,
    num_classes=None,
    image_size=None,
    fused=False,
    variant=None,
    num_heads=None,
    weights_entry=None,
    any_keras_model=False,
):
    """Loads a trained model. The source determines the class of the model.

    Args:
        source: One of:

            - the name of a preset, see `keras_deit.list_presets()`;
            - `"hf://owner/repository"`, optionally with `"@revision"`;
            - the path of a `.safetensors` or `.pth` file, or of a directory with `model.safetensors` or
              `pytorch_model.bin`, with weights in the names of timm, the official code or transformers;
            - the path of a model of this package saved as `.keras`; of a `Distiller`, the student is returned;
            - the output directory of a training run, whose `student.keras` is loaded.
        num_classes: Number of classes; None means the source's. For another number the heads are randomly initialised.
        image_size: Side of the images in pixels, or `(height, width)`; None means the source's. For another size the
            position embeddings are interpolated. A `RegNetY` takes images of any size.
        fused: Whether to return a `DeiTClassifier`, with fused heads, instead of a `DeiT`.
        variant: Name of the variant of a checkpoint; None means that it is inferred from the shapes of the tensors.
        num_heads: Number of attention heads of a checkpoint, if no published variant has the same shapes of tensors.
        weights_entry: Key of the weights in a file that holds several, such as `"model_ema"`, see `keras_deit.weights.load`.
        any_keras_model: Whether a `.keras` file may hold any Keras model. A model of another package is returned unchanged.

    Returns:
        A `DeiT` or `DeiTClassifier`, a `DeiTMaskedImageModel` or a `RegNetY`; from a `.keras` file also a `DeiTBackbone`, or
        the model of keras.applications of a run. A warning names the differences from the source.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        OSError: If a download fails.
        ValueError: If the source does not exist or is no such model, or the arguments do not fit it.

    Example:

    ```python
    model = kd.pretrained("deit_small_distilled_patch16_224", num_classes=10)
    student = kd.pretrained("runs/one")
    ```
    """
    file = find_keras_file(source)
    if file is not None:
        _check_absent(source, variant=variant, num_heads=num_heads, weights_entry=weights_entry)
        model, notes = _load_saved(file, num_classes, image_size, any_keras_model)
    else:
        model, notes = _load_checkpoint(source, num_classes, image_size, fused, variant, num_heads, weights_entry)
    if notes:
        warn_caller(f"{source}: {' '.join(notes)}")
    return DeiTClassifier(model) if fused and isinstance(model, DeiT) else model


def find_keras_file(source):
    """Finds the saved model that a source names.

    Args:
        source: As for `pretrained`.

    Returns:
        The `pathlib.Path` of the `.keras` file: the source itself, or the student in a run's output directory. None if the
        source names weights without a model.

    Example:

    >>> find_keras_file("deit_tiny_patch16_224") is None
    True
    """
    path = user_path(source)
    if path.suffix == ".keras":
        return path
    is_run = find_preset(str(source)) is None and (path / STUDENT_FILE).exists()
    return path / STUDENT_FILE if is_run else None


def _check_absent(source, **arguments):
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(
                f"`{name}` is only for weights without a model, but {str(source)!r} is a saved model. Received: "
                f"{name}={value!r}"
            )


def _load_saved(file, num_classes, image_size, any_keras_model):
    if not file.exists():
        raise ValueError(f"There is no file {str(file)!r}.{did_you_mean(similar_paths(file))}")
    model = load_keras_file(file)
    model = getattr(model, "student", model)
    if not isinstance(model, ImageModel):
        if any_keras_model and isinstance(model, keras.Model) and num_classes is None:
            return model, ()
        raise ValueError(f"Expected a model of keras_deit in {str(file)!r}. Received: {type(model).__name__}")
    return _adapt(model, f"the model {str(file)!r}", num_classes, image_size)


def _adapt(model, label, num_classes, image_size):
    """Rebuilds a model for other classes or another image size, and loads all weights that still fit."""
    model.check_num_classes(num_classes)
    config = model.deit.get_config() if isinstance(model, DeiTClassifier) else model.get_config()
    adapted = dict(config)
    if num_classes not in (None, config.get("num_classes")):
        adapted["num_classes"] = num_classes
        adapted = {name: value for name, value in adapted.items() if name not in ("class_names", "multi_label")}
        adapted = _without_changes_of_heads(adapted)
    if image_size is not None and "image_size" in config:
        adapted["image_size"] = height_and_width(image_size)
    if adapted == config:
        return model, ()
    if lora_layers(model):
        model, notes = _adapt(merge(model), label, num_classes, image_size)
        return model, ("LoRA is merged into the kernels, and all variables are trained.", *notes)
    if isinstance(model, DeiTClassifier):
        return _adapt_classifier(model, adapted, label)
    rebuilt = type(model).from_config(adapted)
    if isinstance(model, ApplicationClassifier):
        return rebuilt, rebuilt.take_weights(model)
    return rebuilt, load(rebuilt, as_checkpoint(model, label)).notes


def _without_changes_of_heads(config):
    """A configuration whose fresh heads are as new layers are: a saved flag such as `trainable=False` is not about them."""
    changes = {path: kept for path, kept in config.get(CHANGES, {}).items() if path.rpartition("/")[2] not in HEADS}
    return {**config, CHANGES: changes} if CHANGES in config else config


def _adapt_classifier(model, deit_config, label):
    if model.fusion in LATE_FUSIONS:
        raise ValueError(
            f"The head of fusion={model.fusion!r} in {label} is only for the saved number of classes and image size. Load "
            "the model without `num_classes` and `image_size`."
        )
    config = model.get_config()
    if deit_config["num_classes"] != model.num_classes:
        config = _without_changes_of_heads(config)
    rebuilt = type(model).from_config({**config, "deit": {**config["deit"], "config": deit_config}})
    return rebuilt, load(rebuilt.deit, as_checkpoint(model.deit, label)).notes


def _load_checkpoint(source, num_classes, image_size, fused, variant, num_heads, weights_entry):
    path = user_path(source)
    if find_preset(str(source)) is None and path.is_dir() and not is_checkpoint(path):
        raise ValueError(
            f"The directory {str(source)!r} holds no model: it has neither {STUDENT_FILE}, as the directory of a finished "
            f"run has, nor one of {', '.join(HUB_FILES)}."
        )
    checkpoint, variant = open_preset(source, variant=variant, weights_entry=weights_entry)
    model_class = _model_class(checkpoint, fused)
    if model_class is RegNetY and num_heads is not None:
        raise ValueError(f"A RegNetY has no attention heads. Received: num_heads={num_heads} for {checkpoint.label}")
    return model_class.from_checkpoint(checkpoint, variant, num_classes, image_size, num_heads=num_heads)


def _model_class(checkpoint, fused):
    if checkpoint.family == "regnety":
        return RegNetY
    if checkpoint.has_mask_token:
        return DeiTMaskedImageModel
    return DeiTClassifier if fused else DeiT
