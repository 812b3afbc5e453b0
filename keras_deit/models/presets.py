"""The published weights as one table, with their sources."""

import dataclasses
import difflib
import importlib.util
import re

from keras_deit.imaging import imagenet
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.models.variants import ALIASES, VARIANTS
from keras_deit.runtime.files import user_path
from keras_deit.runtime.similar_names import did_you_mean, similar_paths
from keras_deit.weights import download
from keras_deit.weights.checkpoint import Checkpoint, open_checkpoint
from keras_deit.weights.files import EXTENSIONS, is_checkpoint

OFFICIAL = "https://dl.fbaipublicfiles.com/deit"
HUB_PREFIX = "hf://"


@dataclasses.dataclass(frozen=True)
class Preset:
    """Published weights, one row of the table.

    Attributes:
        name: Name that `from_preset` takes: timm's name, with the tag only where several presets share the name.
        tag: timm's tag, which names the training data.
        variant: Name of the variant.
        parameters: Number of parameters, without moving statistics.
        crop_ratio: Crop ratio of the evaluation transform that the accuracies were measured with.
        top1, top5: Published ImageNet accuracies in percent, or None.
        repositories: Repositories on the Hugging Face hub, in the order in which they are tried.
        url: Address of the official file, or None.
        sha256: First digits of the official file's SHA-256, or None if unknown.
    """

    name: str
    tag: str
    variant: str
    parameters: int
    crop_ratio: float
    top1: float | None
    top5: float | None
    repositories: tuple
    url: str | None = None
    sha256: str | None = None

    @property
    def full_name(self):
        """timm's name with the tag."""
        return f"{self.name.partition('.')[0]}.{self.tag}"


def _deit(name, variant, parameters, top1, top5, sha256):
    return Preset(
        name,
        "fb_in1k",
        variant,
        parameters,
        0.875,
        top1,
        top5,
        (f"timm/{name}.fb_in1k", f"facebook/{name.replace('_', '-')}"),
        f"{OFFICIAL}/{name}-{sha256}.pth",
        sha256,
    )


def _deit3(name, variant, file, top1, tag="fb_in1k"):
    parameters = VARIANTS[variant].parameters
    full_name = f"{name}.{tag}"
    listed = name if tag == "fb_in1k" else full_name
    return Preset(listed, tag, variant, parameters, 1.0, top1, None, (f"timm/{full_name}",), f"{OFFICIAL}/{file}.pth")


def _deit3_21k(name, variant, file, top1):
    return _deit3(name, variant, file, top1, tag="fb_in22k_ft_in1k")


def _regnety(name, tag, top1=None, url=None, sha256=None):
    parameters = VARIANTS[name].parameters
    return Preset(name, tag, name, parameters, 0.875, top1, None, (f"timm/{name}.{tag}",), url, sha256)


# Names, files and accuracies: the model zoo of the official repository (github.com/facebookresearch/deit), whose file names
# contain the first digits of the SHA-256. Repositories and tags: timm.
PRESETS = {
    row.name: row
    for row in (
        #      name                               variant    parameters   top-1   top-5   SHA-256
        _deit("deit_tiny_patch16_224", "deit_ti", 5_717_416, 72.202, 91.124, "a1311bcf"),
        _deit("deit_small_patch16_224", "deit_s", 22_050_664, 79.854, 94.968, "cd65a155"),
        _deit("deit_base_patch16_224", "deit_b", 86_567_656, 81.846, 95.594, "b5f2ef4d"),
        _deit("deit_tiny_distilled_patch16_224", "deit_ti", 5_910_800, 74.476, 91.920, "b40b3cf7"),
        _deit("deit_small_distilled_patch16_224", "deit_s", 22_436_432, 81.164, 95.376, "649709d9"),
        _deit("deit_base_distilled_patch16_224", "deit_b", 87_338_192, 83.372, 96.482, "df68dfff"),
        _deit("deit_base_patch16_384", "deit_b_384", 86_859_496, 82.890, 96.222, "8de9b5d1"),
        _deit("deit_base_distilled_patch16_384", "deit_b_384", 87_630_032, 85.224, 97.186, "d0272ac0"),
        #       name                       variant        file                   top-1
        _deit3("deit3_small_patch16_224", "deit3_s", "deit_3_small_224_1k", 81.4),
        _deit3("deit3_small_patch16_384", "deit3_s_384", "deit_3_small_384_1k", 83.4),
        _deit3("deit3_medium_patch16_224", "deit3_m", "deit_3_medium_224_1k", 83.0),
        _deit3("deit3_base_patch16_224", "deit3_b", "deit_3_base_224_1k", 83.8),
        _deit3("deit3_base_patch16_384", "deit3_b_384", "deit_3_base_384_1k", 85.0),
        _deit3("deit3_large_patch16_224", "deit3_l", "deit_3_large_224_1k", 84.9),
        _deit3("deit3_large_patch16_384", "deit3_l_384", "deit_3_large_384_1k", 85.8),
        _deit3("deit3_huge_patch14_224", "deit3_h", "deit_3_huge_224_1k", 85.2),
        _deit3_21k("deit3_small_patch16_224", "deit3_s", "deit_3_small_224_21k", 83.1),
        _deit3_21k("deit3_small_patch16_384", "deit3_s_384", "deit_3_small_384_21k", 84.8),
        _deit3_21k("deit3_medium_patch16_224", "deit3_m", "deit_3_medium_224_21k", 84.5),
        _deit3_21k("deit3_base_patch16_224", "deit3_b", "deit_3_base_224_21k", 85.7),
        _deit3_21k("deit3_base_patch16_384", "deit3_b_384", "deit_3_base_384_21k", 86.7),
        _deit3_21k("deit3_large_patch16_224", "deit3_l", "deit_3_large_224_21k", 87.0),
        _deit3_21k("deit3_large_patch16_384", "deit3_l_384", "deit_3_large_384_21k", 87.7),
        _deit3_21k("deit3_huge_patch14_224", "deit3_h", "deit_3_huge_224_21k_v1", 87.2),
        #         name          tag
        _regnety("regnety_160", "deit_in1k", 82.9, f"{OFFICIAL}/regnety_160-a5fe301d.pth", "a5fe301d"),
        _regnety("regnety_002", "pycls_in1k"),
        _regnety("regnety_016", "pycls_in1k"),
        _regnety("regnety_040", "pycls_in1k"),
        _regnety("regnety_080", "pycls_in1k"),
        _regnety("regnety_320", "pycls_in1k"),
    )
}


def list_presets():
    """Lists the published weights.

    Returns:
        List of dictionaries with `name`, `family` (`"deit"` or `"regnety"`), `variant`, `parameters`, `image_size`
        (pixels), `crop_ratio` (of the evaluation transform), `top1`, `top5` (published ImageNet accuracies in percent, or
        None), `sha256` (first digits of the official file's, or None) and `source` (the repository on the hub and, if there
        is one, the official file).

    Example:

    >>> [preset["name"] for preset in list_presets()][:2]
    ['deit_tiny_patch16_224', 'deit_small_patch16_224']
    """
    return [
        {
            "name": preset.name,
            "family": VARIANTS[preset.variant].family,
            "variant": preset.variant,
            "parameters": preset.parameters,
            "image_size": VARIANTS[preset.variant].image_size,
            "crop_ratio": preset.crop_ratio,
            "top1": preset.top1,
            "top5": preset.top5,
            "sha256": preset.sha256,
            "source": " ".join(filter(None, (HUB_PREFIX + preset.repositories[0], preset.url))),
        }
        for preset in PRESETS.values()
    ]


def find_preset(name):
    """Finds a preset by its name, with or without the tag, or by timm's repository.

    Args:
        name: Name, for example `"deit3_base_patch16_224"`, `"deit3_base_patch16_224.fb_in1k"` or
            `"timm/deit3_base_patch16_224.fb_in1k"`.

    Returns:
        The `Preset`, or None if there is no such preset.

    Example:

    >>> find_preset("regnety_160.deit_in1k").variant
    'regnety_160'
    """
    return next((row for row in PRESETS.values() if name in (row.name, row.full_name, row.repositories[0])), None)


def is_weights(source):
    """Tells whether a source names weights that `open_preset` opens, rather than a saved model.

    Args:
        source: String that names a model.

    Returns:
        True for a preset, a repository on the hub, or a path of weights without a model.

    Example:

    >>> [is_weights(source) for source in ("regnety_160", "teacher.safetensors", "teacher.keras")]
    [True, True, False]
    """
    return find_preset(source) is not None or source.startswith(HUB_PREFIX) or is_checkpoint(source)


def open_preset(source, family=None, variant=None, weights_entry=None):
    """Opens a checkpoint. A preset or repository that is not in the cache yet is downloaded.

    Args:
        source: Name of a preset; `hf://owner/repository`, optionally with `@revision`; or a path.
        family: Family of the preset, `"deit"` or `"regnety"`; None means any.
        variant: Name of the variant of a file, or None.
        weights_entry: As for `keras_deit.weights.load`; only for files and repositories.

    Returns:
        A `keras_deit.weights.checkpoint.Checkpoint`, and the name of its variant; None if that is not known.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        OSError: If a download fails.
        ValueError: If there is no such preset or path, or the file is damaged.
    """
    preset = find_preset(str(source))
    known = [name for name, row in PRESETS.items() if family in (None, VARIANTS[row.variant].family)]
    if preset is not None and preset.name in known:
        if variant not in (None, preset.variant):
            raise ValueError(
                f"The preset {preset.name!r} is of the variant {preset.variant!r}. Received: variant={variant!r}"
            )
        if weights_entry is not None:
            raise ValueError(f"A preset holds one model. Received: weights_entry={weights_entry!r}")
        tensors = open_checkpoint(_find_or_download(preset)).tensors
        record = {"class_names": imagenet.class_names(), "preprocessing": Preprocessing(crop_ratio=preset.crop_ratio)}
        return Checkpoint(tensors, f"the preset {preset.name!r}", **record), preset.variant
    if str(source).startswith(HUB_PREFIX):
        repository, _, revision = str(source).removeprefix(HUB_PREFIX).partition("@")
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
            raise ValueError(
                f"A repository on the hub is written {HUB_PREFIX}owner/repository. Received: {str(source)!r}"
            )
        checkpoint = open_checkpoint(download.from_hub(repository, revision or None), weights_entry)
        names = imagenet.class_names() if _is_published(repository) else None
        return dataclasses.replace(
            checkpoint, label=f"the checkpoint {str(source)!r}", class_names=checkpoint.class_names or names
        ), variant
    path = user_path(source)
    if path.exists():
        return open_checkpoint(path, weights_entry), variant
    if preset is not None:
        raise ValueError(f"The preset {str(source)!r} is of another model. Presets of this model: {', '.join(known)}.")
    if path.suffix in EXTENSIONS:
        raise ValueError(f"There is no file {str(source)!r}.{did_you_mean(similar_paths(source))}")
    if str(source) in VARIANTS or str(source) in ALIASES:
        hint = " It is a variant, which `from_variant` builds with random weights."
    else:
        nearest = difflib.get_close_matches(str(source), known, n=3, cutoff=0.3)
        hint = f" Similar presets: {', '.join(nearest)}." if nearest else ""
    raise ValueError(
        f"There is no preset {str(source)!r}, and no such file or directory.{hint} `keras_deit.list_presets()` lists all "
        f"presets; a repository on the hub is written {HUB_PREFIX}owner/repository."
    )


def _is_published(repository):
    return any(repository in preset.repositories for preset in PRESETS.values())


def _find_or_download(preset):
    """Returns the path of a preset's weights: from the cache, or else from the first source that has them."""
    for repository in preset.repositories:
        path = download.cached_from_hub(repository)
        if path is not None:
            return path
    path = None if preset.url is None else download.cached_from_url(preset.url, preset.sha256)
    if path is not None:
        return path
    reasons = []
    for repository in preset.repositories:
        try:
            return download.from_hub(repository)
        except download.HubUnreachableError as error:
            reasons.append(str(error))
            break
        except download.DownloadError as error:
            reasons.append(str(error))
    if preset.url is not None and importlib.util.find_spec("torch") is None:
        reasons.append(f"{preset.url} can only be read with PyTorch, which is not installed.")
    elif preset.url is not None and not download.is_offline():
        try:
            return download.from_url(preset.url, preset.sha256)
        except download.DownloadError as error:
            reasons.append(str(error))
    raise download.DownloadError(
        "\n".join(
            [
                f"The weights {preset.name!r} could not be downloaded:",
                *reasons,
                "Weights that were downloaded once are found without a network. You can also pass the path of a file.",
            ]
        )
    )
