"""Names of foreign checkpoints. Everything goes through timm's: ours to timm's and back, the others' to timm's.

A foreign checkpoint is a dictionary from names to NumPy arrays, in PyTorch's layout.
"""

import re

import numpy as np

TOKENS = {
    "prefix_tokens/class_token": "cls_token",
    "prefix_tokens/distillation_token": "dist_token",
    "prefix_tokens/positions": "pos_embed",
}
_MODULES = {
    "patch_embedding": "patch_embed.proj",
    "attention_norm": "norm1",
    "attention/qkv": "attn.qkv",
    "attention/projection": "attn.proj",
    "attention_scale": "ls1",
    "mlp_norm": "norm2",
    "mlp/expansion": "mlp.fc1",
    "mlp/reduction": "mlp.fc2",
    "mlp_scale": "ls2",
    "norm": "norm",
    "class_head": "head",
    "distillation_head": "head_dist",
}
_REGNET_MODULES = {
    "first_convolution": "conv1.conv",
    "first_norm": "conv1.bn",
    "second_convolution": "conv2.conv",
    "second_norm": "conv2.bn",
    "squeeze": "se.fc1",
    "excite": "se.fc2",
    "third_convolution": "conv3.conv",
    "third_norm": "conv3.bn",
    "shortcut_convolution": "downsample.conv",
    "shortcut_norm": "downsample.bn",
}
_REGNET_ENDS = {"stem_convolution": "stem.conv", "stem_norm": "stem.bn", "head": "head.fc"}
_LEAVES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}

# What transformers writes to disk, by regular expression. Its RegNet, DeiT and ViT share the table.
_FROM_TRANSFORMERS = [
    (r"(?:deit|vit)\.embeddings\.cls_token", r"cls_token"),
    (r"deit\.embeddings\.distillation_token", r"dist_token"),
    (r"(?:deit|vit)\.embeddings\.position_embeddings", r"pos_embed"),
    (r"(?:deit|vit)\.embeddings\.patch_embeddings\.projection\.(\w+)", r"patch_embed.proj.\1"),
    (r"(?:deit|vit)\.encoder\.layer\.(\d+)\.attention\.attention\.(query|key|value)\.(\w+)", r"blocks.\1.attn.\2.\3"),
    (r"(?:deit|vit)\.encoder\.layer\.(\d+)\.attention\.output\.dense\.(\w+)", r"blocks.\1.attn.proj.\2"),
    (r"(?:deit|vit)\.encoder\.layer\.(\d+)\.layernorm_before\.(\w+)", r"blocks.\1.norm1.\2"),
    (r"(?:deit|vit)\.encoder\.layer\.(\d+)\.layernorm_after\.(\w+)", r"blocks.\1.norm2.\2"),
    (r"(?:deit|vit)\.encoder\.layer\.(\d+)\.intermediate\.dense\.(\w+)", r"blocks.\1.mlp.fc1.\2"),
    (r"(?:deit|vit)\.encoder\.layer\.(\d+)\.output\.dense\.(\w+)", r"blocks.\1.mlp.fc2.\2"),
    (r"(?:deit|vit)\.layernorm\.(\w+)", r"norm.\1"),
    (r"(?:cls_)?classifier\.(\w+)", r"head.\1"),
    (r"distillation_classifier\.(\w+)", r"head_dist.\1"),
    (r"regnet\.embedder\.embedder\.(\w+\.\w+)", r"stem.\1"),
    (r"regnet\.encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.2\.attention\.0\.(\w+)", r"s\1.b\2.se.fc1.\3"),
    (r"regnet\.encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.2\.attention\.2\.(\w+)", r"s\1.b\2.se.fc2.\3"),
    (r"regnet\.encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.0\.(\w+\.\w+)", r"s\1.b\2.conv1.\3"),
    (r"regnet\.encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.1\.(\w+\.\w+)", r"s\1.b\2.conv2.\3"),
    (r"regnet\.encoder\.stages\.(\d+)\.layers\.(\d+)\.layer\.3\.(\w+\.\w+)", r"s\1.b\2.conv3.\3"),
    (r"regnet\.encoder\.stages\.(\d+)\.layers\.(\d+)\.shortcut\.(\w+\.\w+)", r"s\1.b\2.downsample.\3"),
    (r"classifier\.1\.(\w+)", r"head.fc.\1"),
]
_TO_TRANSFORMERS = [
    (r"cls_token", r"{}.embeddings.cls_token"),
    (r"dist_token", r"{}.embeddings.distillation_token"),
    (r"pos_embed", r"{}.embeddings.position_embeddings"),
    (r"patch_embed\.proj\.(\w+)", r"{}.embeddings.patch_embeddings.projection.\1"),
    (r"blocks\.(\d+)\.attn\.(query|key|value)\.(\w+)", r"{}.encoder.layer.\1.attention.attention.\2.\3"),
    (r"blocks\.(\d+)\.attn\.proj\.(\w+)", r"{}.encoder.layer.\1.attention.output.dense.\2"),
    (r"blocks\.(\d+)\.norm1\.(\w+)", r"{}.encoder.layer.\1.layernorm_before.\2"),
    (r"blocks\.(\d+)\.norm2\.(\w+)", r"{}.encoder.layer.\1.layernorm_after.\2"),
    (r"blocks\.(\d+)\.mlp\.fc1\.(\w+)", r"{}.encoder.layer.\1.intermediate.dense.\2"),
    (r"blocks\.(\d+)\.mlp\.fc2\.(\w+)", r"{}.encoder.layer.\1.output.dense.\2"),
    (r"norm\.(\w+)", r"{}.layernorm.\1"),
    (r"head_dist\.(\w+)", r"distillation_classifier.\1"),
]
_PARTS = ("query", "key", "value")
COUNTER = "num_batches_tracked"  # PyTorch's batch norm counts its steps; nothing depends on it


def timm_name(path):
    """The timm name of one of our variables.

    Args:
        path: The variable's path, such as `"block_1/attention/qkv/kernel"`.

    Returns:
        The name, such as `"blocks.0.attn.qkv.weight"`; None for a variable that no checkpoint has.

    Example:

    >>> timm_name("block_1/attention/qkv/kernel")
    'blocks.0.attn.qkv.weight'
    """
    if path in TOKENS:
        return TOKENS[path]
    module, _, leaf = path.rpartition("/")
    if module.endswith("_scale"):  # LayerScale, whose gamma has kept its name
        return f"{_timm_module(module)}.gamma"
    name = _timm_module(module)
    return f"{name}.{_LEAVES[leaf]}" if name and leaf in _LEAVES else None


def to_foreign_layout(path, value):
    """One of our values in PyTorch's layout: dense kernels `(outputs, inputs)`, convolutions' channels first."""
    if not path.endswith("kernel"):
        return value
    return np.ascontiguousarray(value.T if value.ndim == 2 else value.transpose(3, 2, 0, 1))


def to_our_layout(path, value):
    """The inverse of `to_foreign_layout`."""
    if not path.endswith("kernel"):
        return value
    return value.T if value.ndim == 2 else value.transpose(2, 3, 1, 0)


def to_timm(checkpoint):
    """Translates a checkpoint of timm, of the official code or of transformers, told apart by their names, to timm's.

    Args:
        checkpoint: Dictionary from names to arrays.

    Returns:
        A dictionary in timm's names; a name that no table knows stays as it is.

    Raises:
        ValueError: If only a part of a query, key and value is there.
    """
    translated = {}
    for name, value in checkpoint.items():
        if name.endswith(COUNTER):
            continue
        name = re.sub(r"^(blocks\.\d+)\.gamma_([12])$", r"\1.ls\2.gamma", name)  # the official DeiT III
        translated[_from_transformers(name)] = value
    return _joined(translated)


def to_transformers(checkpoint, family):
    """Translates a checkpoint in timm's names to transformers'.

    Args:
        checkpoint: Dictionary from names to arrays.
        family: `"deit"` or `"vit"`.

    Returns:
        A dictionary in the names that transformers writes to disk.
    """
    head = "cls_classifier" if family == "deit" else "classifier"
    table = [*_TO_TRANSFORMERS, (r"head\.(\w+)", rf"{head}.\1")]
    return {_first_match(table, name).format(family): value for name, value in _split(checkpoint).items()}


def _timm_module(module):
    block = re.fullmatch(r"block_(\d+)/(.+)", module)
    if block and block[2] in _MODULES:
        return f"blocks.{int(block[1]) - 1}.{_MODULES[block[2]]}"
    stage = re.fullmatch(r"stage_(\d+)_block_(\d+)_(\w+)", module)
    if stage and stage[3] in _REGNET_MODULES:
        return f"s{stage[1]}.b{stage[2]}.{_REGNET_MODULES[stage[3]]}"
    return _MODULES.get(module) or _REGNET_ENDS.get(module)


def _from_transformers(name):
    translated = _first_match(_FROM_TRANSFORMERS, name)
    if not name.startswith("regnet"):
        return translated
    translated = translated.replace(".convolution.", ".conv.").replace(".normalization.", ".bn.")
    return re.sub(r"^s(\d+)\.b(\d+)", lambda match: f"s{int(match[1]) + 1}.b{int(match[2]) + 1}", translated)


def _first_match(table, name):
    for pattern, replacement in table:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    return name


def _joined(checkpoint):
    """Query, key and value, where they come apart, as one."""
    joined = {}
    for name, value in checkpoint.items():
        part = re.fullmatch(r"(blocks\.\d+\.attn)\.(query|key|value)\.(\w+)", name)
        if not part:
            joined[name] = value
        elif part[2] == "query":
            names = [f"{part[1]}.{which}.{part[3]}" for which in _PARTS]
            missing = [which for which in names if which not in checkpoint]
            if missing:
                raise ValueError(
                    f"The checkpoint has a query without its key or value: {', '.join(missing)} is missing."
                )
            joined[f"{part[1]}.qkv.{part[3]}"] = np.concatenate([checkpoint[which] for which in names])
    return joined


def _split(checkpoint):
    """Query, key and value apart."""
    split = {}
    for name, value in checkpoint.items():
        if ".attn.qkv." in name:
            for which, part in zip(_PARTS, np.split(value, 3), strict=True):
                split[name.replace("qkv", which)] = np.ascontiguousarray(part)
        else:
            split[name] = value
    return split
