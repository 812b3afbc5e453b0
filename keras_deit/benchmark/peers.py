"""The implementations of DeiT that are timed: this package's, KerasHub's, transformers' and timm's."""

import functools

import keras

from keras_deit.benchmark.device import has_gpu
from keras_deit.benchmark.setting import NUM_CLASSES
from keras_deit.benchmark.steps import keras_step, torch_step
from keras_deit.models import DeiT, DeiTClassifier

OURS = "keras_deit"


def builders(peers):
    """Lists what can be timed beside this package's model on the active backend.

    transformers and timm run on PyTorch only. On a GPU with PyTorch, this package's model and timm's are also timed under
    `torch.compile`.

    Args:
        peers: Names out of `PEERS`.

    Returns:
        Dictionary from names to functions that take a `Setting` and return the step to time.
    """
    on_torch = keras.backend.backend() == "torch"
    chosen = {name: PEERS[name] for name in peers if name == "keras_hub" or on_torch}
    if on_torch and has_gpu():
        chosen[f"{OURS} compiled"] = functools.partial(our_step, compiled=True)
        if "timm" in peers:
            chosen["timm compiled"] = functools.partial(timm_step, compiled=True)
    return chosen


def our_step(setting, compiled=False):
    """Builds this package's `DeiTClassifier` and returns its step."""
    deit = DeiT(num_classes=NUM_CLASSES, dtype=setting.policy, **setting.architecture)
    return keras_step(DeiTClassifier(deit), setting, compiled)


def keras_hub_step(setting):
    """Builds KerasHub's `DeiTImageClassifier` and returns its step."""
    from keras_hub.models import DeiTBackbone, DeiTImageClassifier

    size, arguments = setting.architecture["image_size"], two_token_arguments(setting)
    backbone = DeiTBackbone(image_shape=(size, size, 3), dtype=setting.policy, **arguments)
    model = DeiTImageClassifier(backbone=backbone, num_classes=NUM_CLASSES, preprocessor=None)
    return keras_step(model, setting)


def transformers_step(setting):
    """Builds transformers' `DeiTForImageClassificationWithTeacher` and returns its step."""
    from transformers import DeiTConfig, DeiTForImageClassificationWithTeacher

    arguments = two_token_arguments(setting)
    config = DeiTConfig(
        image_size=setting.architecture["image_size"],
        patch_size=arguments["patch_size"],
        hidden_size=arguments["hidden_dim"],
        num_hidden_layers=arguments["num_layers"],
        num_attention_heads=arguments["num_heads"],
        intermediate_size=arguments["intermediate_dim"],
        num_labels=NUM_CLASSES,
    )
    return torch_step(DeiTForImageClassificationWithTeacher(config), setting)


def timm_step(setting, compiled=False):
    """Builds timm's vision transformer with one or two tokens and returns its step."""
    from timm.models import deit, vision_transformer

    architecture = setting.architecture
    arguments = dict(
        img_size=architecture["image_size"],
        patch_size=architecture["patch_size"],
        embed_dim=architecture["hidden_dim"],
        depth=architecture["num_layers"],
        num_heads=architecture["num_heads"],
        num_classes=NUM_CLASSES,
    )
    if architecture["distilled"]:
        module = deit.VisionTransformerDistilled(**arguments)
    else:
        layer_scale = architecture["layer_scale_init"]
        module = vision_transformer.VisionTransformer(init_values=layer_scale, no_embed_class=True, **arguments)
    return torch_step(module, setting, compiled)


PEERS = {"keras_hub": keras_hub_step, "transformers": transformers_step, "timm": timm_step}


def two_token_arguments(setting):
    """Selects the constructor arguments for the models of KerasHub and transformers.

    Args:
        setting: A `Setting`.

    Returns:
        Dictionary of arguments in KerasHub's names.

    Raises:
        ValueError: If the variant has one token. KerasHub and transformers have two-token models only.
    """
    architecture = setting.architecture
    if not architecture["distilled"]:
        raise ValueError(f"there is no {setting.variant}: its DeiT always has two tokens and no LayerScale")
    names = ("patch_size", "hidden_dim", "num_layers", "num_heads")
    return {**{name: architecture[name] for name in names}, "intermediate_dim": 4 * architecture["hidden_dim"]}
