"""Writing models as checkpoints for timm, the official code and transformers."""

import json
import pathlib

import numpy as np

from keras_deit.layers.composite import check_not_quantized
from keras_deit.layers.lora import merged_weights
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.files import user_path, write_whole
from keras_deit.weights import files
from keras_deit.weights.checkpoint import Checkpoint
from keras_deit.weights.names import (
    MASK_TOKEN,
    STEP_COUNTER,
    timm_name,
    to_foreign_layout,
    to_official_names,
    to_transformers,
)
from keras_deit.weights.record import MULTI_LABEL, PREPROCESSOR
from keras_deit.weights.record import to_transformers as to_transformers_processor

_ARCHITECTURES = {  # transformers' classes, by model type and whether the model has classes
    ("deit", True): "DeiTForImageClassificationWithTeacher",
    ("vit", True): "ViTForImageClassification",
    ("deit", False): "DeiTForMaskedImageModeling",
    ("vit", False): "ViTForMaskedImageModeling",
}


def to_timm(model, path):
    """Writes the weights of a model as a safetensors file that timm loads strictly.

    The metadata of the file contain the names of the classes, the preparation of images, and the arguments that cannot be
    inferred from the tensors (number of heads, image size, epsilon). `from_preset` reads the metadata.

    Args:
        model: A `DeiT`, `DeiTClassifier`, `DeiTBackbone` or `RegNetY`.
        path: Path of the file, ending in `.safetensors`. The file is written atomically and replaces an existing one.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        ImportError: If safetensors is not installed.
        ValueError: If the extension is another one, or the model has variables that timm has no name for.

    Example:

    ```python
    kd.weights.to_timm(distiller.student, "student.safetensors")
    timm_model.load_state_dict(safetensors.torch.load_file("student.safetensors"))
    ```
    """
    _check_extension(path, ".safetensors")
    files.write(_for_pytorch(model), path, {**_metadata(model), **_record(model)})
    _warn_of_fusion(model, "timm")
    _warn_of_merging(model, "timm")
    return user_path(path)


def to_official(model, path):
    """Writes the weights of a model as a `.pth` file that the official code loads strictly.

    Args:
        model: A `DeiT`, `DeiTClassifier` or `RegNetY`.
        path: Path of the file, ending in `.pth`. The file is written atomically and replaces an existing one. It holds
            the weights under `"model"`, as the official files do, and under `"keras_deit"` the metadata that `to_timm`
            stores, which `from_preset` reads.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        ImportError: If PyTorch is not installed.
        ValueError: If the extension is another one, or the model has variables that the official code has no name for.
    """
    _check_extension(path, ".pth")
    files.write_pickle(to_official_names(_for_pytorch(model)), path, {**_metadata(model), **_record(model)})
    _warn_of_fusion(model, "the official code")
    _warn_of_merging(model, "the official code")
    return user_path(path)


def to_huggingface(model, directory):
    """Writes a model as a directory for `from_pretrained` of transformers: a DeiT for two tokens, a ViT for one token.

    A `DeiTClassifier` with `fusion="class"` becomes a `DeiTForImageClassification`, which has no distillation head.

    Args:
        model: A `DeiT`, `DeiTClassifier` or `DeiTMaskedImageModel`.
        directory: Path of the directory. `model.safetensors`, `config.json` and `preprocessor_config.json` in it are
            written atomically.

    Returns:
        The `pathlib.Path` of the directory.

    Raises:
        ImportError: If safetensors is not installed.
        ValueError: If transformers has no class for such a model. `to_timm` writes every classifier.

    Example:

    ```python
    kd.weights.to_huggingface(student, "student")
    transformers.DeiTForImageClassificationWithTeacher.from_pretrained("student")
    ```
    """
    backbone = getattr(model, "backbone", None)
    if backbone is None and hasattr(model, "patch_size"):
        raise ValueError(
            "A backbone has no head, which transformers' classes need: write a `DeiT` or a `DeiTMaskedImageModel`."
        )
    if backbone is None or backbone.layer_scale_init is not None or not backbone.prefix_positions:
        raise ValueError(
            "Only DeiT and ViT models without LayerScale and with a position of the class token can be written for "
            f"transformers. Use `keras_deit.weights.to_timm`. Received: {type(model).__name__}"
        )
    height, width = backbone.image_size
    if height != width:
        raise ValueError(f"Only models for square images can be written. Received: image_size={backbone.image_size}")
    family = "deit" if backbone.distilled else "vit"
    directory = user_path(directory)
    tensors = _in_timm_names(model)
    if _has_class_head_only(model):
        tensors = {name: value for name, value in tensors.items() if not name.startswith("head_dist.")}
    else:
        _warn_of_fusion(model, "transformers")
    _warn_of_merging(model, "transformers")
    files.write(to_transformers(tensors, family), directory / "model.safetensors")
    processor = to_transformers_processor(model.preprocessing, backbone.image_size)
    for name, content in ((files.CONFIG, _config(model, backbone, family)), (PREPROCESSOR, processor)):
        write_whole(directory / name, json.dumps(content, indent=2) + "\n")
    return directory


def as_checkpoint(model, label):
    """Returns the weights of a model as a checkpoint in memory, to be loaded into another model.

    Args:
        model: A `DeiT`, `DeiTBackbone`, `DeiTClassifier`, `DeiTMaskedImageModel` or `RegNetY`.
        label: Name of the checkpoint in messages, for example `"the model 'student.keras'"`.

    Returns:
        A `keras_deit.weights.checkpoint.Checkpoint`.

    Raises:
        ValueError: If the model has variables that timm has no name for.
    """
    record = {name: getattr(model, name) for name in files.RECORD}
    return Checkpoint(_in_timm_names(model), label, _metadata(model), **record)


def _metadata(model):
    backbone = getattr(model, "backbone", model)
    is_transformer = hasattr(backbone, "patch_size")
    return {name: getattr(backbone, name) for name in files.METADATA} if is_transformer else {}


def _record(model):
    """What is known about the data of the weights, as JSON can hold it. What is unknown is stated too, as None."""
    return {**dict.fromkeys(files.RECORD), **model.record_config()}


def _has_class_head_only(model):
    return getattr(model, "fusion", None) == "class" and model.backbone.distilled


def _warn_of_fusion(model, reader):
    """Warns of a classifier whose predictions are not those of the written heads."""
    fusion = getattr(model, "fusion", "mean_logits")
    if fusion != "mean_logits" and model.backbone.distilled:
        warn_caller(
            f"The heads are written, but not their fusion={fusion!r}: {reader} predicts the mean of both heads' logits. To "
            "keep the fusion, save the model as `.keras`, or load the heads by `keras_deit.DeiTClassifier.from_preset` with "
            f"fusion={fusion!r}."
        )


def _warn_of_merging(model, reader):
    """Warns of a classifier that merges tokens."""
    token_merging = getattr(model, "token_merging", 0)
    if token_merging:
        warn_caller(
            f"The weights are written, but not token_merging={token_merging}: {reader} merges no tokens. To keep the "
            "merging, save the model as `.keras`, or pass `token_merging` to `keras_deit.DeiTClassifier.from_preset`."
        )


def _check_extension(path, extension):
    if pathlib.Path(path).suffix != extension:
        raise ValueError(f"The file's name must end in {extension}. Received: {str(path)!r}")


def _for_pytorch(model):
    """Returns all tensors that timm's and the official code's models hold, by timm's names."""
    checkpoint = _in_timm_names(model)
    if MASK_TOKEN in checkpoint:
        raise ValueError(
            "timm has no masked image model. Use `keras_deit.weights.to_huggingface`, or write `model.backbone` alone."
        )
    for name in [name for name in checkpoint if name.endswith("running_var")]:
        checkpoint[name.replace("running_var", STEP_COUNTER)] = np.array(0, "int64")
    return checkpoint


def _in_timm_names(model):
    check_not_quantized(model, "write it before `model.quantize`")
    weights = merged_weights(model)
    names = {variable.path: timm_name(variable.path) for variable, _ in weights}
    unknown = [path for path, name in names.items() if name is None]
    architecture = getattr(model, "architecture", None)
    if unknown and architecture:  # of keras.applications, with hundreds of variables
        raise ValueError(
            f"timm has no names for the weights of a {architecture} of keras.applications. Save the model as "
            f"`.keras`. Only a run with --architecture {architecture} can start from these weights."
        )
    if unknown:
        raise ValueError(
            f"timm has no name for {', '.join(unknown)}. The head of a late fusion, for example, exists in Keras only."
        )
    return {
        names[variable.path]: to_foreign_layout(variable.path, value.astype("float32")) for variable, value in weights
    }


def _config(model, backbone, family):
    return {
        "architectures": [_architecture(model, family)],
        "model_type": family,
        "image_size": backbone.image_size[0],
        "patch_size": backbone.patch_size,
        "num_channels": 3,
        "hidden_size": backbone.hidden_dim,
        "num_hidden_layers": backbone.num_layers,
        "num_attention_heads": backbone.num_heads,
        "intermediate_size": backbone.intermediate_dim,
        "layer_norm_eps": backbone.layer_norm_epsilon,
        "hidden_act": "gelu",
        "qkv_bias": True,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        **(_labels(model) if hasattr(model, "num_classes") else {"encoder_stride": backbone.patch_size}),
    }


def _architecture(model, family):
    if _has_class_head_only(model):
        return "DeiTForImageClassification"
    return _ARCHITECTURES[family, hasattr(model, "num_classes")]


def _labels(model):
    labels = dict(enumerate(model.class_names or [f"LABEL_{index}" for index in range(model.num_classes)]))
    problem = {"problem_type": MULTI_LABEL} if model.multi_label else {}
    return {"id2label": labels, "label2id": {label: index for index, label in labels.items()}, **problem}
