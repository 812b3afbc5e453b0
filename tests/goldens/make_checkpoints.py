"""Makes small checkpoints in the formats of timm, the official code and transformers, and the logits of their models.

    KERAS_BACKEND=torch python -m tests.goldens.make_checkpoints

This script needs PyTorch, timm and transformers. The tests of `keras_deit.weights` read its files on every backend.
"""

import json
import pathlib
import re

import numpy as np

FOLDER = pathlib.Path(__file__).parent / "checkpoints"
SIZE, PATCH, CLASSES = 32, 8, 5
VIT = dict(img_size=SIZE, patch_size=PATCH, embed_dim=16, depth=2, num_heads=2, num_classes=CLASSES)
HUB = dict(
    image_size=SIZE,
    patch_size=PATCH,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    num_labels=CLASSES,
    layer_norm_eps=1e-6,
)
WIDTHS, DEPTHS, GROUP = (16, 24, 32, 40), (1, 1, 2, 1), 8


def main():
    """Writes every checkpoint, `logits.npz` and `timm_presets.json`."""
    import torch
    from timm.models import deit, regnet, vision_transformer
    from transformers import (
        DeiTConfig,
        DeiTForImageClassification,
        DeiTForImageClassificationWithTeacher,
        DeiTForMaskedImageModeling,
        RegNetConfig,
        RegNetForImageClassification,
        ViTConfig,
        ViTForImageClassification,
    )

    FOLDER.mkdir(exist_ok=True)
    generate_regnet = regnet.generate_regnet  # replaced below, for a network of another shape
    images = np.random.default_rng(0).normal(size=(3, SIZE, SIZE, 3)).astype("float32")
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    models = {
        "timm_two_tokens": deit.VisionTransformerDistilled(**VIT),
        "timm_one_token": vision_transformer.VisionTransformer(**VIT),
        "timm_deit3": vision_transformer.VisionTransformer(**VIT, init_values=0.1, no_embed_class=True),
        "timm_regnety": regnet.RegNet(_regnet_config(regnet), num_classes=CLASSES),
        "transformers_two_tokens": DeiTForImageClassificationWithTeacher(DeiTConfig(**HUB)),
        "transformers_class_head": DeiTForImageClassification(DeiTConfig(**HUB)),
        "transformers_one_token": ViTForImageClassification(ViTConfig(**HUB)),
        "transformers_masked": DeiTForMaskedImageModeling(DeiTConfig(**HUB, encoder_stride=PATCH)),
        "transformers_regnety": RegNetForImageClassification(
            RegNetConfig(
                embedding_size=32,
                hidden_sizes=list(WIDTHS),
                depths=list(DEPTHS),
                groups_width=GROUP,
                layer_type="y",
                num_labels=CLASSES,
            )
        ),
    }
    mask = np.random.default_rng(3).random((3, (SIZE // PATCH) ** 2)) < 0.4
    logits = {"images": images, "mask": mask}
    for name, model in models.items():
        _randomise(model)
        model.eval()
        with torch.no_grad():
            logits.update({f"{name}/{head}": value for head, value in _outputs(model, pixels, mask).items()})
        _save(name, model)
    logits.update({f"official_deit3/{head}": logits[f"timm_deit3/{head}"] for head in ("class",)})
    logits.update(_resized_positions(torch))
    np.savez_compressed(FOLDER / "logits.npz", **logits)
    regnet.generate_regnet = generate_regnet
    _write_presets()


def _write_presets():
    """Writes timm's metadata of the published checkpoints: repository, file, image size and number of parameters."""
    import torch
    from timm.models import create_model, get_pretrained_cfg, list_pretrained

    families = r"deit3?_.*|regnety_160\.deit_in1k|regnety_(002|016|040|080|320)\.pycls_in1k"
    rows = {}
    for name in filter(re.compile(families).fullmatch, list_pretrained()):
        config = get_pretrained_cfg(name)
        assert (config.mean, config.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        with torch.device("meta"):
            model = create_model(name.partition(".")[0])
        rows[name] = {
            "repository": config.hf_hub_id,
            "url": config.url,
            "image_size": config.input_size[1],
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        }
    (FOLDER.parent / "timm_presets.json").write_text(json.dumps(rows, indent=1) + "\n")


def _regnet_config(regnet):
    config = regnet.RegNetCfg(group_size=GROUP, se_ratio=0.25)
    blocks = np.repeat(WIDTHS, DEPTHS)  # the design space's smallest network is too large for a test
    regnet.generate_regnet = lambda *_, **__: (blocks, len(WIDTHS), np.full(len(blocks), GROUP))
    return config


def _randomise(model):
    import torch

    generator = torch.Generator().manual_seed(1)
    for name, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith("running_var"):
            value.copy_(0.5 + noise.abs())
        elif value.ndim > 1:
            value.copy_(noise / max(1, value[0].numel()) ** 0.5 if value.ndim in (2, 4) else noise)
        else:
            value.copy_((1.0 if name.endswith(("weight", "gamma")) else 0.0) + 0.3 * noise)


def _outputs(model, pixels, mask):
    import torch

    if hasattr(model, "decoder"):
        outputs = model(pixels, bool_masked_pos=torch.from_numpy(mask))
        return {"pixels": outputs.reconstruction.permute(0, 2, 3, 1).numpy(), "loss": outputs.loss.numpy()}
    outputs = model(pixels)
    if hasattr(outputs, "cls_logits"):
        return {"class": outputs.cls_logits.numpy(), "distillation": outputs.distillation_logits.numpy()}
    if hasattr(model, "head_dist"):
        heads = model.forward_features(pixels)
        return {"class": model.head(heads[:, 0]).numpy(), "distillation": model.head_dist(heads[:, 1]).numpy()}
    return {"class": getattr(outputs, "logits", outputs).numpy()}


def _save(name, model):
    from safetensors.torch import load_file, save_file

    if name.startswith("timm"):
        state = {key: value.contiguous() for key, value in model.state_dict().items()}
        save_file(state, FOLDER / f"{name}.safetensors")
        if name == "timm_deit3":
            official = {re.sub(r"ls([12])\.gamma", r"gamma_\1", key): value for key, value in state.items()}
            save_file(official, FOLDER / "official_deit3.safetensors")
        return
    model.save_pretrained(FOLDER / name)  # with the names that transformers writes
    state = load_file(FOLDER / name / "model.safetensors")
    save_file(state, FOLDER / f"{name}.safetensors")
    for file in (FOLDER / name).iterdir():
        file.unlink()
    (FOLDER / name).rmdir()


def _resized_positions(torch):
    positions = np.random.default_rng(2).normal(size=(1, 16, 6)).astype("float32")
    grid = torch.from_numpy(positions.reshape(1, 4, 4, 6)).permute(0, 3, 1, 2)
    resized = {"positions": positions}
    for height, width in ((7, 7), (3, 3), (6, 9)):
        larger = torch.nn.functional.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False)
        resized[f"positions/{height}x{width}"] = larger.permute(0, 2, 3, 1).reshape(1, -1, 6).numpy()
    return resized


if __name__ == "__main__":
    main()
