"""Our models as checkpoints for timm, the official code and transformers."""

import json
import pathlib

import keras
import numpy as np

from keras_deit.runtime.files import write_whole
from keras_deit.weights import files
from keras_deit.weights.names import (
    COUNTER,
    MASK_TOKEN,
    timm_name,
    to_foreign_layout,
    to_official_names,
    to_transformers,
)

_ARCHITECTURES = {  # by family and whether there are classes
    ("deit", True): "DeiTForImageClassificationWithTeacher",
    ("vit", True): "ViTForImageClassification",
    ("deit", False): "DeiTForMaskedImageModeling",
    ("vit", False): "ViTForMaskedImageModeling",
}


def to_timm(model, path):
    """Writes the weights of a model as safetensors that timm loads strictly.

    What no tensor shows (number of heads, image size, epsilon) is kept as metadata, which `from_preset` reads.

    Args:
        model: A `DeiT`, `DeiTClassifier`, `DeiTBackbone` or `RegNetY`.
        path: The file to write, ending in `.safetensors`; it appears whole or not at all. One that is there is replaced.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        ImportError: If safetensors is not installed.
        ValueError: If the model has variables that timm has no name for.

    Example:

    ```python
    kd.weights.to_timm(distiller.student, "student.safetensors")
    timm_model.load_state_dict(safetensors.torch.load_file("student.safetensors"))
    ```
    """
    _check_ending(path, ".safetensors")
    backbone = getattr(model, "backbone", model)
    told = {name: getattr(backbone, name) for name in files.TOLD} if hasattr(backbone, "patch_size") else None
    files.write(_for_pytorch(model), path, told)
    return pathlib.Path(path)


def to_official(model, path):
    """Writes the weights of a model as a `.pth` file that the official code loads strictly.

    Args:
        model: A `DeiT`, `DeiTClassifier` or `RegNetY`.
        path: The file to write, ending in `.pth`; it appears whole or not at all. It holds `{"model": weights}`, as the
            official files.

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        ImportError: If PyTorch is not installed.
        ValueError: If the model has variables that the official code has no name for.
    """
    _check_ending(path, ".pth")
    files.write_pickle({"model": to_official_names(_for_pytorch(model))}, path)
    return pathlib.Path(path)


def to_huggingface(model, directory):
    """Writes a model as a directory that transformers' `from_pretrained` takes: a DeiT for two tokens, a ViT for one.

    Args:
        model: A `DeiT`, a `DeiTClassifier` or a `DeiTMaskedImageModel`.
        directory: Where to write `model.safetensors` and `config.json`; each appears whole or not at all.

    Returns:
        The `pathlib.Path` of the directory.

    Raises:
        ImportError: If safetensors is not installed.
        ValueError: If transformers has no class for such a model; `to_timm` has one for every model.

    Example:

    ```python
    kd.weights.to_huggingface(student, "student")
    transformers.DeiTForImageClassificationWithTeacher.from_pretrained("student")
    ```
    """
    backbone = getattr(model, "backbone", None)
    if backbone is None and hasattr(model, "patch_size"):
        raise ValueError(
            "A backbone has no head, and transformers' classes want one: write a `DeiT` or a masked image model."
        )
    if backbone is None or backbone.layer_scale_init is not None or not backbone.prefix_positions:
        raise ValueError(
            "transformers has a class for DeiT and for ViT, and none with LayerScale or without a position of the class "
            f"token, nor is a RegNetY written for it. Use `keras_deit.weights.to_timm`. Received: {type(model).__name__}"
        )
    height, width = backbone.image_size
    if height != width:
        raise ValueError(f"transformers' images are square here. Received: image_size={backbone.image_size}")
    family = "deit" if backbone.distilled else "vit"
    directory = pathlib.Path(directory)
    files.write(to_transformers(_in_timm_names(model), family), directory / "model.safetensors")
    write_whole(directory / "config.json", json.dumps(_config(model, backbone, family), indent=2) + "\n")
    return directory


def _check_ending(path, ending):
    if pathlib.Path(path).suffix != ending:
        raise ValueError(f"The file's name must end in {ending}, by which it is known. Received: {str(path)!r}")


def _for_pytorch(model):
    """All that timm's and the official code's models hold."""
    checkpoint = _in_timm_names(model)
    if MASK_TOKEN in checkpoint:
        raise ValueError(
            "timm has no masked image model. Use `keras_deit.weights.to_huggingface`, or write what goes on from "
            "`model.backbone`."
        )
    for name in [name for name in checkpoint if name.endswith("running_var")]:
        checkpoint[name.replace("running_var", COUNTER)] = np.array(0, "int64")
    return checkpoint


def _in_timm_names(model):
    names = {variable.path: timm_name(variable.path) for variable in model.weights}
    unknown = [path for path, name in names.items() if name is None]
    if unknown:
        raise ValueError(
            f"timm has no name for {', '.join(unknown)}. A head of a late fusion, for example, exists in Keras alone."
        )
    return {
        names[variable.path]: to_foreign_layout(
            variable.path, keras.ops.convert_to_numpy(keras.ops.cast(variable.value, "float32"))
        )
        for variable in model.weights
    }


def _config(model, backbone, family):
    return {
        "architectures": [_ARCHITECTURES[family, hasattr(model, "num_classes")]],
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
        **(_labels(model.num_classes) if hasattr(model, "num_classes") else {"encoder_stride": backbone.patch_size}),
    }


def _labels(num_classes):
    labels = {index: f"LABEL_{index}" for index in range(num_classes)}
    return {"id2label": labels, "label2id": {label: index for index, label in labels.items()}}
