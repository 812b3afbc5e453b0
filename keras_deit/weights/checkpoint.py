"""A checkpoint in timm's names, and what it shows of the model that it is of."""

import dataclasses
import math
import re

from keras_deit.weights import files
from keras_deit.weights.names import MASK_TOKEN, to_timm

HEADS = {"class_head": "head", "distillation_head": "head_dist", "head": "head.fc"}
_SIGNS = {"deit": "patch_embed.proj.weight", "regnety": "stem.conv.weight"}
_STAND_IN_SCALE = 1e-4  # LayerScale's values are loaded; a constructor wants an initial one all the same


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Tensors on their way into a model.

    Attributes:
        tensors: Dictionary from timm's names to arrays in PyTorch's layout.
        label: How messages name it.
        told: Constructor's arguments that the file tells beside its tensors, see `keras_deit.weights.files.told`.
    """

    tensors: dict
    label: str
    told: dict = dataclasses.field(default_factory=dict)

    @property
    def family(self):
        """`"deit"` or `"regnety"`.

        Raises:
            ValueError: If it is a checkpoint of something else.
        """
        for family, name in _SIGNS.items():
            if name in self.tensors:
                return family
        raise ValueError(
            f"{self.label} is of no DeiT and of no RegNetY: it has neither of {', '.join(_SIGNS.values())}, but "
            f"{', '.join(list(self.tensors)[:3])}, ..."
        )

    @property
    def num_prefix_tokens(self):
        """2 with a distillation token, 1 without."""
        return 2 if "dist_token" in self.tensors else 1

    @property
    def has_mask_token(self):
        """Whether it is of a model that fills in hidden patches."""
        return MASK_TOKEN in self.tensors

    @property
    def lacks_distillation_head(self):
        """Whether it has two tokens and a head for the class token alone, as transformers' `DeiTForImageClassification`."""
        return "dist_token" in self.tensors and "head.weight" in self.tensors and "head_dist.weight" not in self.tensors

    def shape(self, name, rank):
        """The shape of a tensor.

        Raises:
            ValueError: If it is missing or of another rank.
        """
        if name not in self.tensors:
            raise ValueError(f"{self.label} lacks the tensor {name!r}, which every such model has.")
        shape = self.tensors[name].shape
        if len(shape) != rank:
            raise ValueError(f"In {self.label} the tensor {name!r} is of shape {shape} instead of {rank} dimensions.")
        return shape

    def positions(self, grid=None, prefixed=None):
        """Positions of the prefix tokens, none in DeiT III, and of the patches.

        Args:
            grid: `(rows, columns)` of patches, if they are this many; otherwise they make a square.
            prefixed: Whether the prefix tokens have positions, where both could be.

        Returns:
            Two arrays `(1, positions, width)` and the grid of the second.

        Raises:
            ValueError: If the patches make neither.
        """
        _, total, _ = self.shape("pos_embed", 3)
        prefixes = [0, self.num_prefix_tokens] if prefixed is False else [self.num_prefix_tokens, 0]
        grids = [(prefix, known) for known in (self._told_grid(), grid) if known for prefix in prefixes]
        squares = [(prefix, 2 * (math.isqrt(max(total - prefix, 0)),)) for prefix in prefixes]
        for prefix, found in (*grids, *squares):
            if math.prod(found) == total - prefix > 0:
                positions = self.tensors["pos_embed"]
                return positions[:, :prefix], positions[:, prefix:], tuple(found)
        raise ValueError(
            f"In {self.label} the tensor 'pos_embed' is of shape {self.tensors['pos_embed'].shape}: {total} positions are "
            f"no square of patches, with {self.num_prefix_tokens} prefix tokens or without. Of images that are no square "
            "say `image_size=(height, width)`."
        )

    def architecture(self, image_size=None):
        """The constructor's arguments that the checkpoint shows.

        Args:
            image_size: `(height, width)` if it is known.

        Returns:
            A dictionary; for a DeiT the number of heads is in it only if the file tells it, since no shape does.

        Raises:
            ValueError: If it is a checkpoint of something else, or one of the tensors that tell is missing or misshaped.
        """
        shown = self._regnety() if self.family == "regnety" else {**self._deit(image_size), **self.told}
        heads = [f"{head}.weight" for head in HEADS.values() if f"{head}.weight" in self.tensors]
        if heads:
            shown["num_classes"] = self.shape(heads[0], 2)[0]
        return shown

    def _deit(self, image_size):
        hidden_dim, _, patch_size, _ = self.shape("patch_embed.proj.weight", 4)
        grid = image_size and tuple(side // patch_size for side in image_size)
        prefix, _, (rows, columns) = self.positions(grid)
        shown = {
            "image_size": (rows * patch_size, columns * patch_size),
            "patch_size": patch_size,
            "hidden_dim": hidden_dim,
            "num_layers": self._count(r"blocks\.(\d+)\."),
            "intermediate_dim": self.shape("blocks.0.mlp.fc1.weight", 2)[0],
            "distilled": self.num_prefix_tokens == 2,
            "prefix_positions": prefix.shape[1] > 0,
            "layer_scale_init": None,
        }
        if "blocks.0.ls1.gamma" in self.tensors:
            shown["layer_scale_init"] = _STAND_IN_SCALE
            if not shown["prefix_positions"]:  # DeiT III
                shown["drop_path_schedule"] = "constant"
        return shown

    def _regnety(self):
        stages = range(1, self._count(r"s(\d+)\.b") + 1)
        return {
            "widths": tuple(self.shape(f"s{stage}.b1.conv3.conv.weight", 4)[0] for stage in stages),
            "depths": tuple(self._count(rf"s{stage}\.b(\d+)\.") for stage in stages),
            "group_width": self.shape("s1.b1.conv2.conv.weight", 4)[1],
        }

    def _told_grid(self):
        if "image_size" not in self.told:
            return None
        patch_size = self.shape("patch_embed.proj.weight", 4)[-1]
        return tuple(side // patch_size for side in self.told["image_size"])

    def _count(self, pattern):
        return len({match[1] for match in map(re.compile(pattern).match, self.tensors) if match})


def open_checkpoint(source):
    """Reads a checkpoint of timm, of the official code or of transformers.

    Args:
        source: Path of a `.safetensors` or a `.pth` file or of a directory of the hub's; a dictionary from names to arrays;
            or a `Checkpoint`, which is returned as it is.

    Returns:
        A `Checkpoint`.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If the file is missing, damaged, or holds anything but weights.
    """
    if isinstance(source, Checkpoint):
        return source
    if isinstance(source, dict):
        return Checkpoint(to_timm(source), "the checkpoint")
    return Checkpoint(to_timm(files.read(source)), f"the checkpoint {str(source)!r}", files.told(source))
