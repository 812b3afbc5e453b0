"""A small distilled DeiT and its two distillation losses in plain PyTorch, with the gradient of every weight.

The module uses neither Keras nor keras_deit, so that the test of the Distiller compares two independent programs.
PyTorch is imported inside the functions, because the tests that only read the stored gradients do not need it.
"""

import dataclasses

import numpy as np

from tests.goldens.weights import draw, noise

ARGUMENTS = dict(
    num_classes=5, image_size=16, patch_size=4, hidden_dim=32, num_layers=2, num_heads=2, intermediate_dim=64
)
EPSILON = 1e-6

IMAGES = noise("images", (6, 16, 16, 3))
TEACHER_LOGITS = 2 * noise("teacher", (6, 5))
LABELS = np.array([3, 0, 4, 1, 2, 0])
SAMPLE_WEIGHTS = np.array([1.0, 0.5, 2.0, 0.0, 1.5, 1.0], "float32")


@dataclasses.dataclass(frozen=True)
class Form:
    """One form of the loss: hard or soft distillation, with its settings."""

    distillation: str
    alpha: float
    label_smoothing: float
    temperature: float


FORMS = {"hard": Form("hard", 0.5, 0.1, 1.0), "soft": Form("soft", 0.1, 0.0, 3.0)}


def weight_shapes():
    """The shape of every weight by its path in the Keras model."""
    width, inner, patch = ARGUMENTS["hidden_dim"], ARGUMENTS["intermediate_dim"], ARGUMENTS["patch_size"]
    classes, num_patches = ARGUMENTS["num_classes"], (ARGUMENTS["image_size"] // patch) ** 2
    shapes = {
        "patch_embedding/kernel": (patch, patch, 3, width),
        "patch_embedding/bias": (width,),
        "prefix_tokens/class_token": (1, 1, width),
        "prefix_tokens/distillation_token": (1, 1, width),
        "prefix_tokens/positions": (1, 2 + num_patches, width),
    }
    denses = {"class_head": (width, classes), "distillation_head": (width, classes)}
    norms = ["norm"]
    for index in range(1, ARGUMENTS["num_layers"] + 1):
        block = f"block_{index}"
        norms += [f"{block}/attention_norm", f"{block}/mlp_norm"]
        denses[f"{block}/attention/qkv"] = (width, 3 * width)
        denses[f"{block}/attention/projection"] = (width, width)
        denses[f"{block}/mlp/expansion"] = (width, inner)
        denses[f"{block}/mlp/reduction"] = (inner, width)
    for name, shape in denses.items():
        shapes[f"{name}/kernel"], shapes[f"{name}/bias"] = shape, shape[-1:]
    for name in norms:
        shapes[f"{name}/gamma"] = shapes[f"{name}/beta"] = (width,)
    return shapes


def gradients(form):
    """Computes the gradient of one form of the loss with respect to every weight, in float64.

    Args:
        form: A key of `FORMS`.

    Returns:
        The loss, and a dictionary from the path of each weight to its gradient.
    """
    import torch

    weights = {
        path: torch.tensor(draw(path, shape), dtype=torch.float64, requires_grad=True)
        for path, shape in weight_shapes().items()
    }
    loss = _loss(*_forward(weights, torch.tensor(IMAGES, dtype=torch.float64)), FORMS[form])
    loss.backward()
    return loss.item(), {path: weight.grad.numpy() for path, weight in weights.items()}


def _forward(weights, images):
    import torch
    from torch.nn import functional

    def dense(inputs, name):
        return functional.linear(inputs, weights[f"{name}/kernel"].T, weights[f"{name}/bias"])

    def norm(tokens, name):
        width = tokens.shape[-1:]
        return functional.layer_norm(tokens, width, weights[f"{name}/gamma"], weights[f"{name}/beta"], EPSILON)

    def attention(tokens, name):
        batch_size, length, width = tokens.shape
        qkv = dense(tokens, f"{name}/qkv").reshape(batch_size, length, 3, ARGUMENTS["num_heads"], -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (batch, heads, tokens, head_dim)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return dense(mixed.transpose(1, 2).reshape(batch_size, length, width), f"{name}/projection")

    kernel = weights["patch_embedding/kernel"].permute(3, 2, 0, 1)
    patches = functional.conv2d(
        images.permute(0, 3, 1, 2), kernel, weights["patch_embedding/bias"], stride=ARGUMENTS["patch_size"]
    )
    tokens = patches.flatten(2).transpose(1, 2)
    prefix = [
        weights[f"prefix_tokens/{name}"].expand(len(images), 1, -1) for name in ("class_token", "distillation_token")
    ]
    tokens = torch.cat([*prefix, tokens], dim=1) + weights["prefix_tokens/positions"]
    for index in range(1, ARGUMENTS["num_layers"] + 1):
        block = f"block_{index}"
        tokens = tokens + attention(norm(tokens, f"{block}/attention_norm"), f"{block}/attention")
        hidden = functional.gelu(dense(norm(tokens, f"{block}/mlp_norm"), f"{block}/mlp/expansion"))
        tokens = tokens + dense(hidden, f"{block}/mlp/reduction")
    tokens = norm(tokens, "norm")
    return dense(tokens[:, 0], "class_head"), dense(tokens[:, 1], "distillation_head")


def _loss(class_logits, distillation_logits, form):
    import torch
    from torch.nn import functional

    teacher = torch.tensor(TEACHER_LOGITS, dtype=torch.float64)
    weights = torch.tensor(SAMPLE_WEIGHTS, dtype=torch.float64)
    class_loss = functional.cross_entropy(
        class_logits, torch.tensor(LABELS), label_smoothing=form.label_smoothing, reduction="none"
    )
    if form.distillation == "hard":
        distillation_loss = functional.cross_entropy(distillation_logits, teacher.argmax(dim=-1), reduction="none")
    else:
        divergence = functional.kl_div(
            functional.log_softmax(distillation_logits / form.temperature, dim=-1),
            functional.log_softmax(teacher / form.temperature, dim=-1),
            reduction="none",
            log_target=True,
        )
        distillation_loss = divergence.sum(dim=-1) * form.temperature**2
    values = (1 - form.alpha) * class_loss + form.alpha * distillation_loss
    return (values * weights).sum() / len(values)
