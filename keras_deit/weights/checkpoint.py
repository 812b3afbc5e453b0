"""A checkpoint in timm's names, and what its tensors show of the model that it is of."""

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
    """

    tensors: dict
    label: str

    @property
    def num_prefix_tokens(self):
        """2 with a distillation token, 1 without."""
        return 2 if "dist_token" in self.tensors else 1

    @property
    def has_mask_token(self):
        """Whether it is of a model that fills in hidden patches."""
        return MASK_TOKEN in self.tensors

    def positions(self):
        """Positions of the prefix tokens, none in DeiT III, and of the patches.

        Raises:
            ValueError: If the patches make no square.
        """
        positions = self.tensors["pos_embed"]
        for prefix in (self.num_prefix_tokens, 0):
            if math.isqrt(positions.shape[1] - prefix) ** 2 == positions.shape[1] - prefix:
                return positions[:, :prefix], positions[:, prefix:]
        raise ValueError(
            f"In {self.label} the tensor 'pos_embed' is of shape {positions.shape}: {positions.shape[1]} positions are no "
            f"square of patches, with {self.num_prefix_tokens} prefix tokens or without."
        )

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
            f"{self.label} is of no DeiT and of no RegNetY: it has neither of {', '.join(_SIGNS.values())}."
        )

    def architecture(self):
        """The constructor's arguments that the shapes of the tensors show.

        Returns:
            A dictionary; for a DeiT all but the number of heads, which no shape shows.

        Raises:
            ValueError: If it is a checkpoint of something else, or one of the tensors that tell is missing.
        """
        describe = {"deit": self._deit, "regnety": self._regnety}[self.family]
        try:
            return {**describe(), **self._num_classes()}
        except KeyError as error:
            raise ValueError(f"{self.label} lacks the tensor {error}, which every such model has.") from error

    def _deit(self):
        hidden_dim, _, patch_size, _ = self.tensors["patch_embed.proj.weight"].shape
        prefix, patches = self.positions()
        return {
            "image_size": math.isqrt(patches.shape[1]) * patch_size,
            "patch_size": patch_size,
            "hidden_dim": hidden_dim,
            "num_layers": self._count(r"blocks\.(\d+)\."),
            "intermediate_dim": self.tensors["blocks.0.mlp.fc1.weight"].shape[0],
            "distilled": self.num_prefix_tokens == 2,
            "prefix_positions": prefix.shape[1] > 0,
            "layer_scale_init": _STAND_IN_SCALE if "blocks.0.ls1.gamma" in self.tensors else None,
        }

    def _regnety(self):
        stages = range(1, self._count(r"s(\d+)\.b") + 1)
        return {
            "widths": tuple(self.tensors[f"s{stage}.b1.conv3.conv.weight"].shape[0] for stage in stages),
            "depths": tuple(self._count(rf"s{stage}\.b(\d+)\.") for stage in stages),
            "group_width": self.tensors["s1.b1.conv2.conv.weight"].shape[1],
        }

    def _num_classes(self):
        heads = [self.tensors[f"{head}.weight"] for head in HEADS.values() if f"{head}.weight" in self.tensors]
        return {"num_classes": heads[0].shape[0]} if heads else {}

    def _count(self, pattern):
        return len({match[1] for match in map(re.compile(pattern).match, self.tensors) if match})


def open_checkpoint(source, label=None):
    """Reads a checkpoint of timm, of the official code or of transformers.

    Args:
        source: Path of a `.safetensors` or a `.pth` file or of a directory of the hub's; a dictionary from names to arrays;
            or a `Checkpoint`, which is returned as it is.
        label: How messages name it; None means by its path.

    Returns:
        A `Checkpoint`.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If the file is missing, damaged, or holds anything but weights.
    """
    if isinstance(source, Checkpoint):
        return source
    if isinstance(source, dict):
        return Checkpoint(to_timm(source), label or "the checkpoint")
    return Checkpoint(to_timm(files.read(source)), label or f"the checkpoint {str(source)!r}")
