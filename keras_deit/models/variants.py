"""The published architectures, as one table."""

import dataclasses
import difflib

DEIT = "Touvron et al., 2020 (arXiv 2012.12877), table 1; accuracies: the official repository's model zoo"
DEIT3 = "Touvron et al., 2022 (arXiv 2204.07118); accuracies: the official repository, trained on ImageNet-1k"


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of the table.

    Attributes:
        name: The name that `from_variant` takes.
        parameters: Number of parameters with 1,000 classes and the variant's own tokens.
        image_size: Side of the square image in pixels.
        top1: Published ImageNet top-1 accuracy in percent, or None.
        source: Where the figures come from.
        arguments: Constructor arguments of the backbone.
    """

    name: str
    parameters: int
    image_size: int
    top1: float | None
    source: str
    arguments: dict


def _deit(name, width, heads, parameters, top1, image_size=224):
    arguments = dict(image_size=image_size, patch_size=16, hidden_dim=width, num_layers=12, num_heads=heads)
    arguments.update(distilled=True)
    return Variant(name, parameters, image_size, top1, DEIT, arguments)


def _deit3(name, width, heads, layers, parameters, top1, image_size=224, patch_size=16):
    arguments = dict(image_size=image_size, patch_size=patch_size, hidden_dim=width, num_layers=layers, num_heads=heads)
    arguments.update(distilled=False, prefix_positions=False, layer_scale_init=1e-4)
    arguments.update(drop_path_schedule="constant")
    return Variant(name, parameters, image_size, top1, DEIT3, arguments)


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
        A list of dictionaries with `name`, `parameters` (with 1,000 classes and the variant's own tokens), `image_size`
        (pixels), `top1` (published ImageNet top-1 accuracy in percent) and `source`.

    Example:

    >>> [variant["name"] for variant in list_variants()][:3]
    ['deit_ti', 'deit_s', 'deit_b']
    """
    rows = (dataclasses.asdict(variant) for variant in VARIANTS.values())
    return [{key: value for key, value in row.items() if key != "arguments"} for row in rows]


def get_variant(name):
    """Looks a variant up by its name or alias.

    Args:
        name: For example `"deit_ti"` or `"deit_tiny"`.

    Returns:
        The `Variant`.

    Raises:
        ValueError: If there is none of that name; the message names the nearest ones.

    Example:

    >>> get_variant("deit_tiny").arguments["hidden_dim"]
    192
    """
    variant = VARIANTS.get(ALIASES.get(name, name))
    if variant is None:
        nearest = difflib.get_close_matches(str(name), [*VARIANTS, *ALIASES], n=3, cutoff=0.3)
        hint = f"The nearest names are {', '.join(nearest)}." if nearest else ""
        raise ValueError(f"There is no variant {name!r}. {hint} All of them: {', '.join(VARIANTS)}.")
    return variant
