"""The published architectures, as one table."""

import dataclasses
import difflib

DEIT = "Touvron et al., 2020 (arXiv 2012.12877), table 1; accuracies: the official repository's model zoo"
DEIT3 = "Touvron et al., 2022 (arXiv 2204.07118); accuracies: the official repository, trained on ImageNet-1k"
REGNETY = "Radosavovic et al., 2020 (arXiv 2003.13678), table 4; accuracy: the teacher of Touvron et al., 2020"


@dataclasses.dataclass(frozen=True)
class Variant:
    """A published architecture, one row of the table.

    Attributes:
        family: `"deit"` or `"regnety"`: the family of models that can be built from it.
        name: Name that `from_variant` takes.
        parameters: Number of parameters with 1,000 classes and the variant's own number of tokens, without moving
            statistics.
        image_size: Side of the square images in pixels.
        top1: Published ImageNet top-1 accuracy in percent, or None.
        source: Source of the figures.
        arguments: Dictionary of constructor arguments of `DeiTBackbone` or `RegNetY`.
    """

    family: str
    name: str
    parameters: int
    image_size: int
    top1: float | None
    source: str
    arguments: dict


def _deit(name, width, heads, parameters, top1, image_size=224):
    arguments = dict(image_size=image_size, patch_size=16, hidden_dim=width, num_layers=12, num_heads=heads)
    arguments.update(distilled=True, prefix_positions=True)
    return Variant("deit", name, parameters, image_size, top1, DEIT, arguments)


def _deit3(name, width, heads, layers, parameters, top1, image_size=224, patch_size=16):
    arguments = dict(image_size=image_size, patch_size=patch_size, hidden_dim=width, num_layers=layers, num_heads=heads)
    arguments.update(distilled=False, prefix_positions=False, layer_scale_init=1e-4)
    arguments.update(drop_path_schedule="constant")
    return Variant("deit", name, parameters, image_size, top1, DEIT3, arguments)


def _regnety(name, widths, depths, group_width, parameters, top1=None):
    arguments = dict(widths=widths, depths=depths, group_width=group_width)
    return Variant("regnety", name, parameters, 224, top1, REGNETY, arguments)


VARIANTS = {
    row.name: row
    for row in (
        #      name         width heads      parameters  top-1
        _deit("deit_ti", 192, 3, 5_910_800, 74.476),
        _deit("deit_s", 384, 6, 22_436_432, 81.164),
        _deit("deit_b", 768, 12, 87_338_192, 83.372),
        _deit("deit_b_384", 768, 12, 87_630_032, 85.224, image_size=384),
        #       name    width heads layers   parameters  top-1
        _deit3("deit3_s", 384, 6, 12, 22_059_496, 81.4),
        _deit3("deit3_s_384", 384, 6, 12, 22_205_416, 83.4, image_size=384),
        _deit3("deit3_m", 512, 8, 12, 38_849_512, 83.0),
        _deit3("deit3_b", 768, 12, 12, 86_585_320, 83.8),
        _deit3("deit3_b_384", 768, 12, 12, 86_877_160, 85.0, image_size=384),
        _deit3("deit3_l", 1024, 16, 24, 304_374_760, 84.9),
        _deit3("deit3_l_384", 1024, 16, 24, 304_763_880, 85.8, image_size=384),
        _deit3("deit3_h", 1280, 16, 32, 632_126_440, 85.2, patch_size=14),
        #         name           widths                  depths         group  parameters  top-1
        _regnety("regnety_002", (24, 56, 152, 368), (1, 1, 4, 7), 8, 3_162_996),
        _regnety("regnety_016", (48, 120, 336, 888), (2, 6, 17, 2), 24, 11_202_430),
        _regnety("regnety_040", (128, 192, 512, 1088), (2, 6, 12, 2), 64, 20_646_656),
        _regnety("regnety_080", (168, 448, 896, 2016), (2, 4, 10, 1), 56, 39_180_068),
        _regnety("regnety_160", (224, 448, 1232, 3024), (2, 4, 11, 1), 112, 83_590_140, 82.9),
        _regnety("regnety_320", (232, 696, 1392, 3712), (2, 5, 12, 1), 232, 145_046_770),
    )
}

_SIZES = {"tiny": "ti", "small": "s", "medium": "m", "base": "b", "large": "l", "huge": "h"}


def _aliases():
    for name in VARIANTS:
        family, size, *rest = name.split("_")
        for long, short in _SIZES.items():
            if short == size:
                yield "_".join([family, long, *rest]), name


ALIASES = dict(_aliases())


def list_variants():
    """Lists the published architectures.

    Returns:
        List of dictionaries with `family` (`"deit"` or `"regnety"`), `name`, `parameters` (with 1,000 classes and the
        variant's own number of tokens), `image_size` (pixels), `top1` (published ImageNet top-1 accuracy in percent, or
        None) and `source`.

    Example:

    >>> [variant["name"] for variant in list_variants()][:3]
    ['deit_ti', 'deit_s', 'deit_b']
    """
    rows = (dataclasses.asdict(variant) for variant in VARIANTS.values())
    return [{key: value for key, value in row.items() if key != "arguments"} for row in rows]


def get_variant(name, family="deit"):
    """Finds a variant by its name or alias.

    Args:
        name: Name, for example `"deit_ti"`, or alias, for example `"deit_tiny"`.
        family: `"deit"` or `"regnety"`.

    Returns:
        The `Variant`.

    Raises:
        ValueError: If there is no such variant; the message names similar ones.

    Example:

    >>> get_variant("deit_tiny").arguments["hidden_dim"]
    192
    """
    variant = VARIANTS.get(ALIASES.get(name, name))
    if variant is None or variant.family != family:
        known = [known for known, row in VARIANTS.items() if row.family == family]
        aliases = [alias for alias, meant in ALIASES.items() if meant in known]
        nearest = difflib.get_close_matches(str(name), [*known, *aliases], n=3, cutoff=0.3)
        hint = f" Similar names: {', '.join(nearest)}." if nearest else ""
        raise ValueError(f"There is no variant {name!r}.{hint} All variants: {', '.join(known)}.")
    return variant


def matching_variants(arguments, family):
    """Finds the variants with the given constructor arguments.

    Args:
        arguments: Dictionary of constructor arguments.
        family: `"deit"` or `"regnety"`.

    Returns:
        List of names.

    Example:

    >>> matching_variants({"hidden_dim": 768, "prefix_positions": True}, "deit")
    ['deit_b', 'deit_b_384']
    """
    rows = [row for row in VARIANTS.values() if row.family == family]
    return [row.name for row in rows if all(row.arguments[name] == value for name, value in arguments.items())]
