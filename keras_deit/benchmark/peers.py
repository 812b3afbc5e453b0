"""The implementations that are timed: this package's, KerasHub's, zeromodels', transformers' and timm's."""

import dataclasses
import functools
from collections.abc import Callable

import keras

from keras_deit.benchmark import distillation
from keras_deit.benchmark.setting import NUM_CLASSES
from keras_deit.benchmark.steps import keras_step, torch_step
from keras_deit.models import DeiT, DeiTClassifier

OURS, COMPILED = "keras_deit", "compiled"


@dataclasses.dataclass(frozen=True)
class Implementation:
    """What can be timed.

    Attributes:
        build: Function that takes a `Setting` and returns the step.
        flops: Floating-point operations per step.
        package: Name of the package; `keras_deit` for this one.
    """

    build: Callable
    flops: float
    package: str = OURS


def implementations(setting, peers=(), compiled=False):
    """Lists what can be timed on the active backend.

    transformers and timm run on PyTorch only. timm's model is also timed under `torch.compile`. In distillation, the whole
    step and its two parts are timed, and no other package.

    Args:
        setting: A `Setting`.
        peers: Names out of `PEERS`.
        compiled: Whether the Keras models are also timed with `jit_compile=True`: XLA on TensorFlow, `torch.compile` on
            PyTorch. JAX compiles every step, so this makes no difference there.

    Returns:
        Dictionary from names to `Implementation`, those of this package first.
    """
    backend, result = keras.backend.backend(), {}
    for name, implementation in _plain_implementations(setting, peers).items():
        if implementation.package in ON_TORCH_ONLY and backend != "torch":
            continue
        result[name] = implementation
        if _is_compiled_too(implementation.package, backend, compiled):
            build = functools.partial(implementation.build, compiled=True)
            result[f"{name} {COMPILED}"] = dataclasses.replace(implementation, build=build)
    return result


def _plain_implementations(setting, peers):
    """What can be timed on any backend, without being compiled."""
    flops, teacher_flops = setting.model_flops, setting.teacher_flops
    if setting.mode == "distillation":
        return {
            distillation.STEP: Implementation(distillation.distillation_step, flops + teacher_flops),
            distillation.STUDENT: Implementation(distillation.student_step, flops),
            distillation.TEACHER: Implementation(distillation.teacher_step, teacher_flops),
        }
    builds = {OURS: our_step, **{name: PEERS[name] for name in peers}}
    return {name: Implementation(build, flops, name) for name, build in builds.items()}


def _is_compiled_too(package, backend, compiled):
    if package in ON_TORCH_ONLY:
        return package == "timm"
    return compiled and backend != "jax"


def our_step(setting, compiled=False):
    """Builds this package's `DeiTClassifier` and returns its step."""
    deit = DeiT(num_classes=NUM_CLASSES, dtype=setting.policy, **setting.architecture)
    return keras_step(DeiTClassifier(deit), setting, compiled)


def keras_hub_step(setting, compiled=False):
    """Builds KerasHub's `DeiTImageClassifier` and returns its step."""
    from keras_hub.models import DeiTBackbone, DeiTImageClassifier

    size, arguments = setting.architecture["image_size"], two_token_arguments(setting)
    backbone = DeiTBackbone(image_shape=(size, size, 3), dtype=setting.policy, **arguments)
    model = DeiTImageClassifier(backbone=backbone, num_classes=NUM_CLASSES, preprocessor=None)
    return keras_step(model, setting, compiled)


def zeromodels_step(setting, compiled=False):
    """Builds zeromodels' `DeiTImageClassify` with random weights and returns its step."""
    from zeromodels.models.deit import DeiTImageClassify

    architecture, policy = setting.architecture, keras.config.dtype_policy()
    keras.config.set_dtype_policy(setting.policy)  # the model takes no policy of its own
    try:
        model = DeiTImageClassify(
            image_size=architecture["image_size"],
            patch_size=architecture["patch_size"],
            embed_dim=architecture["hidden_dim"],
            depth=architecture["num_layers"],
            num_heads=architecture["num_heads"],
            use_distillation=architecture["distilled"],
            no_embed_class=not architecture["distilled"],
            layer_scale_init=architecture.get("layer_scale_init"),
            num_classes=NUM_CLASSES,
        )
    finally:
        keras.config.set_dtype_policy(policy)
    return keras_step(model, setting, compiled)


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


PEERS = {
    "keras_hub": keras_hub_step,
    "zeromodels": zeromodels_step,
    "transformers": transformers_step,
    "timm": timm_step,
}
ON_TORCH_ONLY = ("transformers", "timm")


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
