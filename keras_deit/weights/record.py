"""What is stored beside the weights about their data: names of the classes, and how images must be prepared."""

import re

import numpy as np

from keras_deit.imaging.preprocessing import Preprocessing, crop_ratio_of
from keras_deit.imaging.sizes import height_and_width
from keras_deit.weights import files
from keras_deit.weights.foreign_config import entries

PREPROCESSOR = "preprocessor_config.json"  # of transformers
MULTI_LABEL = "multi_label_classification"  # `problem_type` in transformers' config.json
_RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # in the order of Pillow's codes
_PIXEL_SCALE = 1 / 255
_HALF = [0.5, 0.5, 0.5]
_KINDS = (  # processors of transformers whose steps are known; "" is a file that names none
    *("", "Beit", "Bit", "Blip", "CLIP", "ChineseCLIP", "DeiT", "MobileNetV1", "MobileNetV2", "Pvt", "Siglip", "ViT"),
    *("ConvNext", "EfficientNet", "Levit", "PoolFormer"),  # these have steps of their own
)
_LEVIT_SCALE = 256 / 224  # by which transformers' LeViT processor multiplies `size`
_DEFAULTS = {  # what a processor of transformers does where its file does not say
    "ViT": {"size": 224, "resample": 2, "image_mean": _HALF, "image_std": _HALF},
    "DeiT": {"size": 256, "crop_size": 224, "resample": 3, "image_mean": _HALF, "image_std": _HALF},
    "ConvNext": {"size": 384, "crop_pct": 0.875, "resample": 3, "image_mean": _HALF, "image_std": _HALF},
    "PoolFormer": {"crop_pct": 0.9, "do_center_crop": True},
    "Levit": {"do_center_crop": True},
    "EfficientNet": {"include_top": True},
}
_TAKEN_NAMES = tuple(name for name in files.HUB_FILES if not name.endswith(files.INDEX))
_STEPS = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb")
_WARPED_SIZE = 384  # from which on transformers' ConvNext processor resizes without a crop and without the aspect ratio


def read_record(path, image_size=None):
    """Reads the names of the classes and the preparation of images that are stored beside a checkpoint.

    They come from the metadata that `to_timm` and `to_official` write, from transformers' `config.json` (`id2label`,
    `problem_type`) and `preprocessor_config.json`, or from timm's `config.json` (`label_names`, `pretrained_cfg`). The
    metadata inside of a file win, also where they say that there is nothing: the files beside it may be of another model.

    Args:
        path: Path of a checkpoint that exists, as for `keras_deit.weights.files.read_with_notes`.
        image_size: `(height, width)` of the model's images in pixels; None for a model that takes images of any size.

    Returns:
        Dictionary with `class_names` (a tuple, or None), `preprocessing` (a `Preprocessing`, or None), `multi_label` (a
        boolean) and `notes`: sentences about what is stored but cannot be done.
    """
    own = files.read_own_record(path)
    processor = files.configuration(path, PREPROCESSOR)
    config = _content(files.configuration(path, files.CONFIG))
    is_multi_label = config.get("problem_type") == MULTI_LABEL
    record = {"class_names": _class_names(config), "multi_label": is_multi_label, "notes": ()}
    ignored = files.ignored_configurations(path, (files.CONFIG, PREPROCESSOR))
    if ignored and not own:
        record["notes"] = (
            f"Files beside the checkpoint that may be of another model are not read: {', '.join(ignored)}. If they belong "
            f"to the checkpoint, rename it to {' or '.join(_TAKEN_NAMES)}.",
        )
    try:
        if own:
            record |= own_record(own)
        elif processor is not None:
            record["preprocessing"] = from_transformers(_content(processor), image_size)
        else:
            record["preprocessing"] = _from_timm(config, image_size)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        record["preprocessing"] = None
        record["notes"] += (
            f"The preparation of images could not be read: {error}. Images are prepared as in the official evaluation, "
            "unless you set it yourself.",
        )
    return record


def own_record(stored):
    """Translates what `to_timm` and `to_official` stored about the data of the weights.

    Args:
        stored: Dictionary, a part of `keras_deit.weights.files.RECORD` with its values.

    Returns:
        Dictionary with `class_names`, `preprocessing` and `multi_label`, as from `read_record`.

    Raises:
        ValueError: If a value is out of range.
    """
    return {
        "class_names": names_of(stored.get("class_names")),
        "preprocessing": Preprocessing.of(stored.get("preprocessing")),
        "multi_label": stored.get("multi_label") is True,
    }


def from_transformers(config, image_size=None):
    """Translates the configuration of an image processor of transformers.

    Args:
        config: Dictionary, the content of `preprocessor_config.json`.
        image_size: `(height, width)` of the model's images in pixels; None for a model that takes images of any size.

    Returns:
        A `Preprocessing`.

    Raises:
        ValueError: If the processor does what an `ImageProcessor` cannot do; the message names the entry.

    Example:

    >>> from_transformers({"image_processor_type": "DeiTImageProcessor"}).squash
    True
    """
    kind = re.sub(r"(ImageProcessor|FeatureExtractor)\w*$", "", _kind(config))
    config = {**_DEFAULTS.get(kind, {}), **{name: value for name, value in config.items() if value is not None}}
    _check_supported(config, kind)
    mean, std = _normalisation(config, kind)
    resized, crop, squash = _geometry(config, kind)
    if image_size is not None and not config.get("do_resize", True):
        resized = crop = tuple(image_size)
    if image_size is not None and tuple(image_size) != crop:
        raise ValueError(
            f"{PREPROCESSOR} prepares images of {crop} pixels, and the model takes images of {tuple(image_size)} pixels"
        )
    ratios = {crop_ratio_of(side, before) for side, before in zip(crop, resized, strict=True)}
    if len(ratios) > 1 or max(ratios) > 1:
        raise ValueError(
            f"{PREPROCESSOR} resizes to {resized} pixels and crops {crop}, which no `crop_ratio` describes"
        )
    return Preprocessing(mean, std, ratios.pop(), _resampling(config), squash, crop if image_size is None else None)


def to_transformers(preprocessing, image_size):
    """Translates a record to the configuration of an image processor of transformers.

    Args:
        preprocessing: A `Preprocessing`; None means that of the official evaluation.
        image_size: `(height, width)` of the model's images in pixels.

    Returns:
        Dictionary, the content of `preprocessor_config.json`. `CLIPImageProcessor` is the class of transformers that keeps
        the aspect ratio and crops in every version.
    """
    record = preprocessing or Preprocessing()
    resized = [int(side / record.crop_ratio) for side in image_size]
    return {
        "image_processor_type": "DeiTImageProcessor" if record.squash else "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": dict(zip(("height", "width"), resized, strict=True))
        if record.squash
        else {"shortest_edge": resized[0]},
        "resample": _RESAMPLING.index(record.interpolation),
        "do_center_crop": True,
        "crop_size": dict(zip(("height", "width"), image_size, strict=True)),
        "do_rescale": True,
        "rescale_factor": _PIXEL_SCALE,
        "do_normalize": True,
        "image_mean": list(record.mean),
        "image_std": list(record.std),
    }


def _content(path):
    return {} if path is None else files.parse_object(path.read_text(encoding="utf-8", errors="replace"))


def _kind(config):
    return str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")


def _entry(config, name):
    if name not in config:
        raise ValueError(f"{PREPROCESSOR} of {_kind(config) or 'an unknown processor'} has no `{name}`")
    return config[name]


def _check_supported(config, kind):
    if kind not in _KINDS:
        raise ValueError(f"`image_processor_type` of {PREPROCESSOR} is not supported: {_kind(config)}")
    unknown = [name for name, value in config.items() if name.startswith("do_") and value and name not in _STEPS]
    unstated = ("offset", "rescale_offset", "crop_pct", "include_top") if not kind else ()  # means what the kind says
    unknown += [name for name in unstated if config.get(name)]
    if unknown:
        raise ValueError(f"`{unknown[0]}` of {PREPROCESSOR} is not supported")


def _normalisation(config, kind):
    """The mean and standard deviation of pixels in 0..1, whatever factor the pixels are scaled by first."""
    is_rescaled = config.get("do_rescale", True)
    factor = _PIXEL_SCALE / (config.get("rescale_factor", _PIXEL_SCALE) if is_rescaled else 1)
    mean, std = np.zeros(3), np.ones(3)
    if config.get("do_normalize", True):
        mean, std = mean + _entry(config, "image_mean"), std * _entry(config, "image_std")
    if kind == "EfficientNet":
        if is_rescaled and config.get("rescale_offset"):
            mean = mean + 1
        if config["include_top"]:
            std = std * _entry(config, "image_std")
    return tuple((mean * factor).tolist()), tuple((std * factor).tolist())


def _geometry(config, kind):
    """The size before the crop and that of the crop, `(height, width)`, and whether the aspect ratio is given up."""
    size = _entry(config, "size")
    if "crop_pct" in config and kind == "ConvNext":
        side = size["shortest_edge"] if isinstance(size, dict) else size
        if side >= _WARPED_SIZE:
            return (side, side), (side, side), True
        return 2 * (int(side / config["crop_pct"]),), (side, side), False
    if kind in ("Levit", "PoolFormer"):
        size = _enlarged(config, size, kind)
    if not isinstance(size, dict):
        size = dict(zip(("height", "width"), height_and_width(size), strict=True))
        if kind not in ("ViT", "DeiT") and size["height"] == size["width"]:
            size = {"shortest_edge": size["height"]}
    if set(size) == {"height", "width"}:
        resized, squash = (size["height"], size["width"]), True
    elif set(size) == {"shortest_edge"}:
        resized, squash = 2 * (size["shortest_edge"],), False
    else:
        raise ValueError(f"`size` of {PREPROCESSOR} is not supported: {size}")
    if not config.get("do_center_crop", kind == "DeiT"):
        if not squash:
            raise ValueError(f"`size` of {PREPROCESSOR} is {size} without `do_center_crop`: images of several sizes")
        return resized, resized, squash
    if not config.get("do_resize", True):
        raise ValueError(f"`do_center_crop` of {PREPROCESSOR} without `do_resize` is not supported")
    crop = _entry(config, "crop_size")
    crop = (crop["height"], crop["width"]) if isinstance(crop, dict) else height_and_width(crop)
    return resized, crop, squash


def _enlarged(config, size, kind):
    """The size that LeViT's and PoolFormer's processors resize to, which is larger than `size`."""
    size = size if isinstance(size, dict) else {"shortest_edge": size}
    if kind == "PoolFormer" and len(set(size.values())) == 1:
        return {"shortest_edge": int(next(iter(size.values())) / config["crop_pct"])}
    if set(size) == {"shortest_edge"}:
        return {"shortest_edge": int(_LEVIT_SCALE * size["shortest_edge"])}
    if kind == "PoolFormer":
        raise ValueError(f"`size` of {PREPROCESSOR} is not supported: {size}")
    return size


def _resampling(config):
    code = _entry(config, "resample")
    if not isinstance(code, int) or not 0 <= code < len(_RESAMPLING):
        raise ValueError(f"`resample` of {PREPROCESSOR} is not supported: {code!r}")
    return _RESAMPLING[code]


def _from_timm(config, image_size):
    """Translates timm's `pretrained_cfg`; None if the file is not timm's."""
    stated = entries(config, "pretrained_cfg") or (config if "architecture" in config else {})
    if not {"mean", "std", "crop_pct", "interpolation"} <= set(stated):
        return None
    mode = stated.get("crop_mode", "center")
    if mode not in ("center", "squash"):
        raise ValueError(f"`crop_mode` of timm's {files.CONFIG} is not supported: {mode!r}")
    size = tuple(stated["input_size"][1:]) if image_size is None and "input_size" in stated else None
    return Preprocessing(
        stated["mean"], stated["std"], stated["crop_pct"], stated["interpolation"], mode == "squash", size
    )


def _class_names(config):
    """The names in `config.json`: timm's `label_names`, or transformers' `id2label`; None if classes are only counted."""
    labels = config.get("label_names") or entries(config, "pretrained_cfg").get("label_names")
    if labels is None:
        by_index = entries(config, "id2label")
        labels = [by_index.get(str(index)) for index in range(len(by_index))]
    names = names_of(labels)
    return None if names and all(re.fullmatch(r"LABEL_\d+", name) for name in names) else names


def names_of(labels):
    """Returns the names of classes that a file states: a tuple of strings; None for anything but a list of strings."""
    is_complete = isinstance(labels, list) and labels and all(isinstance(label, str) for label in labels)
    return tuple(labels) if is_complete else None
