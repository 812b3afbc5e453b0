"""The `config.json` beside a checkpoint: what of it changes the computation is read or refused."""

_ARGUMENTS = {  # names in transformers' config.json to ours
    "image_size": "image_size",
    "num_attention_heads": "num_heads",
    "layer_norm_eps": "layer_norm_epsilon",
}
_VIT_DEFAULTS = {"num_attention_heads": 12, "layer_norm_eps": 1e-12}  # of transformers, for values that are left out
_VIT = {"hidden_act": ("gelu", "gelu_python"), "qkv_bias": (True,), "num_channels": (3,)}
_REGNET = {"hidden_act": ("relu",), "layer_type": ("y",), "downsample_in_first_stage": (True,), "num_channels": (3,)}
_COMPUTED = {
    "deit": _VIT,
    "vit": _VIT,
    "vit_msn": _VIT,
    "regnet": _REGNET,
}  # by model type, the values that can be computed
_TIMM_VIT = {  # of `model_args`; None: timm's default
    "act_layer": ("gelu", None),
    "norm_layer": ("layernorm", None),
    "mlp_layer": (None,),
    "global_pool": ("token", None),
    "class_token": (True,),
}
_TIMM_REGNET = {"act_layer": ("relu",), "norm_layer": ("batchnorm", "batchnorm2d")}


def arguments_of(config, label):
    """Reads constructor arguments from the `config.json` of transformers or timm.

    Args:
        config: Dictionary, the content of the file.
        label: Name of the file in messages.

    Returns:
        Dictionary of constructor arguments of a DeiT.

    Raises:
        ValueError: If the model computes something that the models of this package do not, such as another activation.

    Example:

    >>> arguments_of({"model_type": "vit", "num_attention_heads": 3, "hidden_act": "gelu"}, "config.json")
    {'num_heads': 3, 'layer_norm_epsilon': 1e-12}
    """
    model_type, arguments = config.get("model_type"), {}
    if model_type is not None:
        _check_transformers(config, model_type, label)
    elif "architecture" in config:
        _check_timm(config, label)
        arguments = _timm_arguments(config)
    defaults = _VIT_DEFAULTS if model_type in _COMPUTED and model_type != "regnet" else {}
    known = {**defaults, **config}
    return {**arguments, **{ours: known[name] for name, ours in _ARGUMENTS.items() if name in known}}


def _check_transformers(config, model_type, label):
    if model_type not in _COMPUTED:
        raise ValueError(
            f"{label} is of a model of the type {model_type!r}. Models of transformers that can be read: "
            f"{', '.join(_COMPUTED)}."
        )
    for name, values in _COMPUTED[model_type].items():
        if name in config and config[name] not in values:
            raise _refused(label, name, config[name], values)


def _check_timm(config, label):
    is_regnet = _is_regnet(config)
    if not is_regnet and config.get("global_pool", "token") != "token":
        raise _refused(label, "global_pool", config["global_pool"], ("token",))
    arguments = entries(config, "model_args")
    for name, values in (_TIMM_REGNET if is_regnet else _TIMM_VIT).items():
        if name in arguments and arguments[name] not in values:
            raise _refused(label, name, arguments[name], values)


def _timm_arguments(config):
    """The arguments of a ViT that no tensor determines; the tensors determine a square image size."""
    if _is_regnet(config):
        return {}
    arguments, published = (entries(config, name) for name in ("model_args", "pretrained_cfg"))
    size = (published.get("input_size") or [None])[1:]
    own_size = size if len(set(size)) > 1 else None
    known = {"image_size": arguments.get("img_size", own_size), "num_heads": arguments.get("num_heads")}
    return {name: value for name, value in known.items() if value is not None}


def _is_regnet(config):
    return str(config["architecture"]).startswith("regnet")


def entries(config, name):
    """Returns the dictionary that a file states under a name; an empty one for anything else, such as null.

    Args:
        config: Dictionary, the content of the file.
        name: Key in `config`.
    """
    return config[name] if isinstance(config.get(name), dict) else {}


def _refused(label, name, received, values):
    return ValueError(
        f"{label} states {name}={received!r}, which the models of keras_deit do not compute: their outputs would differ. "
        f"They compute {name}={' or '.join(map(repr, values))}."
    )


def check_arguments(arguments, label):
    """Checks the types of the constructor arguments that a file states.

    Args:
        arguments: Dictionary of constructor arguments.
        label: Name of the file in messages.

    Returns:
        The dictionary, with `image_size` as a tuple of two integers.

    Raises:
        ValueError: If a value is of another type or out of range.
    """
    checked = dict(arguments)
    if "image_size" in checked:
        size = checked["image_size"]
        sides = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
        if len(sides) != 2 or not all(map(_is_positive_integer, sides)):
            raise _wrong(label, "image_size", size, "a positive integer or two of them")
        checked["image_size"] = sides
    if "num_heads" in checked and not _is_positive_integer(checked["num_heads"]):
        raise _wrong(label, "num_heads", checked["num_heads"], "a positive integer")
    if "layer_norm_epsilon" in checked:
        epsilon = checked["layer_norm_epsilon"]
        if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)) or not 0 < epsilon < 1:
            raise _wrong(label, "layer_norm_epsilon", epsilon, "a float between 0 and 1")
    if "drop_path_schedule" in checked and not isinstance(checked["drop_path_schedule"], str):
        raise _wrong(label, "drop_path_schedule", checked["drop_path_schedule"], "a string")
    return checked


def _is_positive_integer(value):
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _wrong(label, name, received, expected):
    return ValueError(f"{label} must state {name} as {expected}. Received: {str(received)[:100]!r}")
