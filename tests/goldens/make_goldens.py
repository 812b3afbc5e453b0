"""Writes the results that tests compare with: run `python -m tests.goldens.make_goldens` in the repository.

This script needs torch and transformers, and neither Keras nor keras_deit. The weights are not stored:
`tests.goldens.weights` draws them from their paths, here and in the tests.
"""

import dataclasses
import pathlib
import sys

import numpy as np

from tests.goldens import reference
from tests.goldens.weights import draw, noise

FOLDER = pathlib.Path(__file__).parent
NUM_CLASSES, PATCH_SIZE, EPSILON = 1000, 16, 1e-6


@dataclasses.dataclass(frozen=True)
class Case:
    """A published architecture, and the number of noise images to compute logits for."""

    image_size: int
    hidden_dim: int
    num_layers: int
    num_heads: int
    num_images: int


CASES = {"deit_ti": Case(224, 192, 12, 3, num_images=2), "deit_b_384": Case(384, 768, 12, 12, num_images=1)}


def images_of(name):
    """The images of a case, channels last."""
    case = CASES[name]
    return noise(f"{name}/images", (case.num_images, case.image_size, case.image_size, 3))


def transformers_logits(name):
    """The logits of transformers' DeiT with two heads.

    Args:
        name: A key of `CASES`.

    Returns:
        A dictionary with the logits `class` and `distillation`, float32 and of shape `(images, 1000)`.
    """
    import torch

    _hide_broken_torchvision()
    import transformers

    case = CASES[name]
    config = transformers.DeiTConfig(
        hidden_size=case.hidden_dim,
        num_hidden_layers=case.num_layers,
        num_attention_heads=case.num_heads,
        intermediate_size=4 * case.hidden_dim,
        image_size=case.image_size,
        patch_size=PATCH_SIZE,
        layer_norm_eps=EPSILON,
        num_labels=NUM_CLASSES,
    )
    with torch.device("meta"):  # skips initial values, which are replaced below
        model = transformers.DeiTForImageClassificationWithTeacher(config)
    state = {key: torch.from_numpy(value) for key, value in _state(case).items()}
    model.load_state_dict(state, strict=True, assign=True)
    pixel_values = torch.from_numpy(images_of(name).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        outputs = model.eval()(pixel_values)
    return {"class": outputs.cls_logits.numpy(), "distillation": outputs.distillation_logits.numpy()}


def main():
    """Writes every golden."""
    for name in CASES:
        np.savez_compressed(FOLDER / f"transformers_{name}.npz", **transformers_logits(name))
    for form in reference.FORMS:
        loss, gradients = reference.gradients(form)
        gradients = {path: gradient.astype("float32") for path, gradient in gradients.items()}
        np.savez_compressed(FOLDER / f"gradients_{form}.npz", loss=loss, **gradients)


def _hide_broken_torchvision():
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):  # a torchvision for CUDA beside PyTorch for CPUs; transformers works without it
        sys.modules["torchvision"] = None


def _state(case):
    """Our weights under transformers' names in memory, which are newer than the names it writes to disk."""
    width, num_patches = case.hidden_dim, (case.image_size // PATCH_SIZE) ** 2
    state = {
        "deit.embeddings.cls_token": draw("prefix_tokens/class_token", (1, 1, width)),
        "deit.embeddings.distillation_token": draw("prefix_tokens/distillation_token", (1, 1, width)),
        "deit.embeddings.position_embeddings": draw("prefix_tokens/positions", (1, 2 + num_patches, width)),
    }
    kernel = draw("patch_embedding/kernel", (PATCH_SIZE, PATCH_SIZE, 3, width))
    state["deit.embeddings.patch_embeddings.projection.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
    state["deit.embeddings.patch_embeddings.projection.bias"] = draw("patch_embedding/bias", (width,))
    for index in range(case.num_layers):
        ours, theirs = f"block_{index + 1}", f"deit.layers.{index}"
        qkv = draw(f"{ours}/attention/qkv/kernel", (width, 3 * width))
        bias = draw(f"{ours}/attention/qkv/bias", (3 * width,))
        for which, name in enumerate(("q_proj", "k_proj", "v_proj")):
            columns = slice(which * width, (which + 1) * width)
            state[f"{theirs}.attention.{name}.weight"] = np.ascontiguousarray(qkv[:, columns].T)
            state[f"{theirs}.attention.{name}.bias"] = bias[columns]
        state.update(_linear(f"{theirs}.attention.o_proj", f"{ours}/attention/projection", width, width))
        state.update(_linear(f"{theirs}.mlp.fc1", f"{ours}/mlp/expansion", width, 4 * width))
        state.update(_linear(f"{theirs}.mlp.fc2", f"{ours}/mlp/reduction", 4 * width, width))
        state.update(_norm(f"{theirs}.layernorm_before", f"{ours}/attention_norm", width))
        state.update(_norm(f"{theirs}.layernorm_after", f"{ours}/mlp_norm", width))
    state.update(_norm("deit.layernorm", "norm", width))
    state.update(_linear("cls_classifier", "class_head", width, NUM_CLASSES))
    state.update(_linear("distillation_classifier", "distillation_head", width, NUM_CLASSES))
    return state


def _linear(theirs, ours, inputs, outputs):
    # Keras keeps a kernel as (inputs, outputs), PyTorch as (outputs, inputs).
    return {
        f"{theirs}.weight": np.ascontiguousarray(draw(f"{ours}/kernel", (inputs, outputs)).T),
        f"{theirs}.bias": draw(f"{ours}/bias", (outputs,)),
    }


def _norm(theirs, ours, width):
    return {
        f"{theirs}.weight": draw(f"{ours}/gamma", (width,)),
        f"{theirs}.bias": draw(f"{ours}/beta", (width,)),
    }


if __name__ == "__main__":
    main()
