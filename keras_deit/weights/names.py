"""Names of weights in checkpoints of other frameworks.

timm's names are the common format: our names and those of the other frameworks are translated to timm's, and back. A
checkpoint is a dictionary from names to NumPy arrays in PyTorch's layout.
"""

import re

import numpy as np

_QKV = ("query", "key", "value")
MASK_TOKEN = "mask_token"  # as in timm's BEiT; timm's models of this family have no mask token
MASKED_IMAGE_PREFIXES = (MASK_TOKEN, "decoder")  # of the names that only a masked image model has
TOKENS = {
    "prefix_tokens/class_token": "cls_token",
    "prefix_tokens/distillation_token": "dist_token",
    "prefix_tokens/positions": "pos_embed",
    "mask_patches/mask_token": MASK_TOKEN,
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
    "decoder": "decoder.0",  # transformers' name
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

# timm's names to those that transformers writes to disk; # stands for a number, * for the last component.
_VIT = {
    "cls_token": "embeddings.cls_token",
    "dist_token": "embeddings.distillation_token",
    "pos_embed": "embeddings.position_embeddings",
    MASK_TOKEN: "embeddings.mask_token",
    "patch_embed.proj.*": "embeddings.patch_embeddings.projection.*",
    "blocks.#.norm1.*": "encoder.layer.#.layernorm_before.*",
    "blocks.#.attn.query.*": "encoder.layer.#.attention.attention.query.*",
    "blocks.#.attn.key.*": "encoder.layer.#.attention.attention.key.*",
    "blocks.#.attn.value.*": "encoder.layer.#.attention.attention.value.*",
    "blocks.#.attn.proj.*": "encoder.layer.#.attention.output.dense.*",
    "blocks.#.norm2.*": "encoder.layer.#.layernorm_after.*",
    "blocks.#.mlp.fc1.*": "encoder.layer.#.intermediate.dense.*",
    "blocks.#.mlp.fc2.*": "encoder.layer.#.output.dense.*",
    "norm.*": "layernorm.*",
}
_REGNET = {
    "stem.conv.*": "embedder.embedder.convolution.*",
    "stem.bn.*": "embedder.embedder.normalization.*",
    "s#.b#.se.fc1.*": "encoder.stages.#.layers.#.layer.2.attention.0.*",
    "s#.b#.se.fc2.*": "encoder.stages.#.layers.#.layer.2.attention.2.*",
    **{
        f"s#.b#.{timm}.{part}.*": f"encoder.stages.#.layers.#.{theirs}.{name}.*"
        for timm, theirs in {
            "conv1": "layer.0",
            "conv2": "layer.1",
            "conv3": "layer.3",
            "downsample": "shortcut",
        }.items()
        for part, name in {"conv": "convolution", "bn": "normalization"}.items()
    },
}
_HEADS = {
    "deit": {"head.*": "cls_classifier.*", "head_dist.*": "distillation_classifier.*"},
    "vit": {"head.*": "classifier.*"},
    "regnet": {"head.fc.*": "classifier.1.*"},
}
_TRANSFORMERS = {
    family: {**{timm: f"{family}.{name}" for timm, name in body.items()}, **_HEADS[family]}
    for family, body in {"deit": _VIT, "vit": _VIT, "regnet": _REGNET}.items()
}
_TO_TIMM = {name: timm for family in _TRANSFORMERS.values() for timm, name in family.items()}
_TO_TIMM.update((name, timm) for timm, name in _VIT.items())  # a model without heads has no prefix for its family
# In transformers 5 the models in memory have other names than the files that it writes.
_IN_MEMORY = {
    **{
        f"layers.#.attention.{letter}_proj.*": f"blocks.#.attn.{name}.*"
        for letter, name in zip("qkv", _QKV, strict=True)
    },
    "layers.#.attention.o_proj.*": "blocks.#.attn.proj.*",
    "layers.#.layernorm_before.*": "blocks.#.norm1.*",
    "layers.#.layernorm_after.*": "blocks.#.norm2.*",
    "layers.#.mlp.fc1.*": "blocks.#.mlp.fc1.*",
    "layers.#.mlp.fc2.*": "blocks.#.mlp.fc2.*",
}
_TO_TIMM.update((prefix + name, timm) for prefix in ("", "deit.", "vit.") for name, timm in _IN_MEMORY.items())
_FIRST_TENSORS = (  # that every model has: what stands before their names is the prefix of all its names
    "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.weight",
    "stem.conv.weight",
    "embedder.embedder.convolution.weight",
)
STEP_COUNTER = "num_batches_tracked"  # of PyTorch's batch norm; no output depends on it


def timm_name(path):
    """Translates the path of one of our variables to timm's name.

    Args:
        path: Path of the variable, such as `"block_1/attention/qkv/kernel"`.

    Returns:
        The name, such as `"blocks.0.attn.qkv.weight"`; None for a variable that timm has no name for.

    Example:

    >>> timm_name("block_1/attention/qkv/kernel")
    'blocks.0.attn.qkv.weight'
    """
    if path in TOKENS:
        return TOKENS[path]
    module, _, leaf = path.rpartition("/")
    if module.endswith("_scale"):  # of LayerScale, whose gamma has the same name in timm
        return f"{_timm_module(module)}.gamma"
    name = _timm_module(module)
    return f"{name}.{_LEAVES[leaf]}" if name and leaf in _LEAVES else None


def to_foreign_layout(path, value):
    """Converts the value of one of our variables to PyTorch's layout.

    Args:
        path: Path of the variable.
        value: Array in Keras's layout.

    Returns:
        The array; dense kernels are `(outputs, inputs)`, convolution kernels `(outputs, inputs, height, width)`.
    """
    if not path.endswith("kernel"):
        return value
    return np.ascontiguousarray(value.T if value.ndim == 2 else value.transpose(3, 2, 0, 1))


def to_our_layout(path, value):
    """Converts a tensor in PyTorch's layout to ours, the inverse of `to_foreign_layout`.

    Args:
        path: Path of the variable.
        value: Array in PyTorch's layout.

    Returns:
        The array; dense kernels are `(inputs, outputs)`, convolution kernels `(height, width, inputs, outputs)`.
    """
    if not path.endswith("kernel"):
        return value
    return value.T if value.ndim == 2 else value.transpose(2, 3, 1, 0)


def to_timm(checkpoint):
    """Translates a checkpoint of timm, the official code or transformers to timm's names.

    Args:
        checkpoint: Dictionary from names to arrays. The names determine which framework it is of.

    Returns:
        Dictionary from timm's names to arrays; an unknown name is kept.

    Raises:
        ValueError: If a query has no key or value, or the names are those of several models.
    """
    translated = {}
    for name, value in _strip_prefix(checkpoint).items():
        if name.endswith(STEP_COUNTER) or is_pooler(name):
            continue
        name = re.sub(r"^(blocks\.\d+)\.gamma_([12])$", r"\1.ls\2.gamma", name)  # the official DeiT III
        translated[_from_transformers(name)] = value
    return _join_qkv(translated)


def is_pooler(name):
    """Tells whether a tensor belongs to the pooler of transformers' models without heads, which no logits depend on.

    Args:
        name: Name of the tensor.

    Returns:
        A boolean.

    Example:

    >>> is_pooler("vit.pooler.dense.weight")
    True
    """
    return re.search(r"(^|\.)pooler\.dense\.\w+$", name) is not None


def _strip_prefix(checkpoint):
    """Removes the prefix that wrappers and training scripts put before the names, for example `module.backbone.`."""
    found = {_prefix(name) for name in checkpoint} - {None}
    if len(found) > 1:
        shown = ", ".join(repr(prefix) if prefix else "no prefix" for prefix in sorted(found)[:5])
        raise ValueError(
            f"The names of the tensors belong to several models, which have these prefixes: {shown}. Choose one by its "
            f"prefix: `weights_entry={max(found).rstrip('.')!r}`."
        )
    prefix = max(found, default="")
    parts = prefix.split(".")[:-1]
    prefixes = [
        ".".join(parts[:length]) + "." for length in range(len(parts), 0, -1)
    ]  # the heads may have a shorter one
    stripped = {}
    for name, value in checkpoint.items():
        name = name.removeprefix(next(filter(name.startswith, prefixes), ""))
        if name in stripped:
            raise ValueError(f"There are two tensors {name!r}, with and without the prefix {prefix!r}.")
        stripped[name] = value
    return stripped


def _prefix(name):
    """What stands before the name of a model's first tensor, without transformers' own prefix; None for other tensors."""
    for first in _FIRST_TENSORS:
        if name == first or name.endswith(f".{first}"):
            return re.sub(r"(^|\.)(deit|vit|regnet)\.$", r"\1", name.removesuffix(first))
    return None


def to_official_names(checkpoint):
    """Translates a checkpoint in timm's names to those of the official code, which differ for LayerScale only.

    Args:
        checkpoint: Dictionary from timm's names to arrays.

    Returns:
        Dictionary from the official code's names to arrays.
    """
    return {re.sub(r"\.ls([12])\.gamma$", r".gamma_\1", name): value for name, value in checkpoint.items()}


def to_transformers(checkpoint, family):
    """Translates a checkpoint in timm's names to transformers'.

    Args:
        checkpoint: Dictionary from timm's names to arrays.
        family: `"deit"` or `"vit"`. A DeiT without a distillation head is one of `DeiTForImageClassification`.

    Returns:
        Dictionary from the names that transformers writes to disk to arrays.
    """
    heads = _HEADS[family if "head_dist.weight" in checkpoint else "vit"]
    table = {**_TRANSFORMERS[family], **heads}
    return {_translate(name, table): value for name, value in _split_qkv(checkpoint).items()}


def _timm_module(module):
    block = re.fullmatch(r"block_(\d+)/(.+)", module)
    if block and block[2] in _MODULES:
        return f"blocks.{int(block[1]) - 1}.{_MODULES[block[2]]}"
    stage = re.fullmatch(r"stage_(\d+)_block_(\d+)_(\w+)", module)
    if stage and stage[3] in _REGNET_MODULES:
        return f"s{stage[1]}.b{stage[2]}.{_REGNET_MODULES[stage[3]]}"
    return _MODULES.get(module) or _REGNET_ENDS.get(module)


def _from_transformers(name):
    translated = _translate(name, _TO_TIMM)
    if not name.startswith("regnet"):
        return translated
    return re.sub(r"^s(\d+)\.b(\d+)", lambda match: f"s{int(match[1]) + 1}.b{int(match[2]) + 1}", translated)


def _translate(name, table):
    """Translates a name by a table with the placeholders # and *; a name that is not in the table is kept."""
    for source, target in table.items():
        pattern = re.escape(source).replace(r"\#", r"(\d+)").replace(r"\*", r"(\w+)")
        match = re.fullmatch(pattern, name)
        if match:
            return re.sub("[#*]", "{}", target).format(*match.groups())
    return name


def _join_qkv(checkpoint):
    """Concatenates separate queries, keys and values to one tensor."""
    joined = {}
    for name, value in checkpoint.items():
        match = re.fullmatch(r"(blocks\.\d+\.attn)\.(query|key|value)\.(\w+)", name)
        if not match:
            joined[name] = value
        elif match[2] == "query":
            names = [f"{match[1]}.{which}.{match[3]}" for which in _QKV]
            missing = [which for which in names if which not in checkpoint]
            if missing:
                raise ValueError(
                    f"The checkpoint has the tensor {name!r} without its key or value: {', '.join(missing)} is missing."
                )
            joined[f"{match[1]}.qkv.{match[3]}"] = np.concatenate([checkpoint[which] for which in names])
    return joined


def _split_qkv(checkpoint):
    """Splits the joint tensors to separate queries, keys and values."""
    split = {}
    for name, value in checkpoint.items():
        if ".attn.qkv." in name:
            for which, third in zip(_QKV, np.split(value, 3), strict=True):
                split[name.replace("qkv", which)] = np.ascontiguousarray(third)
        else:
            split[name] = value
    return split
