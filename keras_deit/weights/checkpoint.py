"""A checkpoint in timm's names, and the architecture inferred from it."""

import dataclasses
import math
import re

from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.runtime.foreign_files import reading
from keras_deit.weights import files
from keras_deit.weights.entries import choose
from keras_deit.weights.foreign_config import check_arguments
from keras_deit.weights.names import MASK_TOKEN, is_pooler, to_timm
from keras_deit.weights.record import own_record, read_record

HEADS = {"class_head": "head", "distillation_head": "head_dist", "head": "head.fc"}  # our names to timm's
_FAMILY_TENSORS = {"deit": "patch_embed.proj.weight", "regnety": "stem.conv.weight"}  # by which a family is recognised
_MAX_TENSORS = 10_000  # the largest published model has 522
_PLACEHOLDER_SCALE = 1e-4  # the constructor requires an initial value of LayerScale, which loading then replaces


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The tensors of a checkpoint, in timm's names.

    Attributes:
        tensors: Dictionary from timm's names to arrays in PyTorch's layout.
        label: Name of the checkpoint in messages, for example `"the checkpoint 'model.safetensors'"`.
        metadata: Dictionary of constructor arguments that the file states beside the tensors, see
            `keras_deit.weights.files.read_metadata`.
        notes: Sentences on what was chosen and left out when the file was read.
        class_names: Names of the classes, a tuple; None if unknown.
        preprocessing: How images must be prepared, a `keras_deit.Preprocessing`; None if unknown.
        multi_label: Whether an image may have any number of classes.
    """

    tensors: dict
    label: str
    metadata: dict = dataclasses.field(default_factory=dict)
    notes: tuple = ()
    class_names: tuple | None = None
    preprocessing: Preprocessing | None = None
    multi_label: bool = False

    def __post_init__(self):
        if self.class_names is not None and len(self.class_names) != self.num_classes:
            object.__setattr__(self, "class_names", None)

    @property
    def family(self):
        """Family of the model: `"deit"` or `"regnety"`.

        Raises:
            ValueError: If the checkpoint is of another family.
        """
        for family, name in _FAMILY_TENSORS.items():
            if name in self.tensors:
                return family
        is_of_keras = any(name.startswith("_torch_params.") for name in self.tensors)
        advice = (
            " They are the `state_dict()` of a Keras model on PyTorch, which only `load_state_dict` of the same model reads."
            " Save the model with `model.save('model.keras')`, or with `keras_deit.weights.to_official`."
        )
        raise ValueError(
            f"Expected the tensor {' or '.join(map(repr, _FAMILY_TENSORS.values()))}, which every DeiT or RegNetY has, in "
            f"{self.label}. Received: {', '.join(list(self.tensors)[:3])}, ...{advice if is_of_keras else ''}"
        )

    @property
    def num_classes(self):
        """Number of classes of the head; None without a head."""
        heads = [f"{head}.weight" for head in HEADS.values() if f"{head}.weight" in self.tensors]
        return self.shape(heads[0], 2)[0] if heads else None

    def record(self, num_classes=None):
        """Returns what is known about the data of the weights.

        Args:
            num_classes: Number of classes of the model; None means that of the checkpoint.

        Returns:
            Dictionary with `class_names` and `multi_label` (None and False for another number of classes) and
            `preprocessing`; None what is unknown.
        """
        has_same_classes = num_classes in (None, self.num_classes)
        return {
            "class_names": self.class_names if has_same_classes else None,
            "preprocessing": self.preprocessing,
            "multi_label": self.multi_label and has_same_classes,
        }

    @property
    def num_prefix_tokens(self):
        """Number of prefix tokens, 2 with a distillation token and 1 without."""
        return 2 if "dist_token" in self.tensors else 1

    @property
    def has_mask_token(self):
        """Whether the checkpoint is of a masked image model."""
        return MASK_TOKEN in self.tensors

    @property
    def lacks_distillation_head(self):
        """Whether there are two tokens but only a class head, as in transformers' `DeiTForImageClassification`."""
        return "dist_token" in self.tensors and "head.weight" in self.tensors and "head_dist.weight" not in self.tensors

    def shape(self, name, rank):
        """Returns the shape of a tensor.

        Args:
            name: Name of the tensor.
            rank: Expected number of dimensions.

        Returns:
            The shape, a tuple.

        Raises:
            ValueError: If the tensor is missing or has another rank.
        """
        if name not in self.tensors:
            raise ValueError(f"The tensor {name!r} is missing in {self.label}.")
        shape = self.tensors[name].shape
        if len(shape) != rank:
            raise ValueError(f"In {self.label} the tensor {name!r} is of shape {shape} instead of {rank} dimensions.")
        return shape

    def positions(self, grid=None, prefix_positions=None):
        """Splits the position embeddings into those of the prefix tokens and those of the patches.

        Args:
            grid: `(rows, columns)` of patches to assume if the metadata states none and the same number of patches is no
                square; None means a square.
            prefix_positions: Whether the prefix tokens have positions, for checkpoints that fit both; None means yes.

        Returns:
            The positions of the prefix tokens `(1, prefix, width)`, empty for DeiT III; those of the patches
            `(1, rows * columns, width)`; and `(rows, columns)`.

        Raises:
            ValueError: If the number of positions fits no grid.
        """
        _, total, _ = self.shape("pos_embed", 3)
        prefixes = [0, self.num_prefix_tokens] if prefix_positions is False else [self.num_prefix_tokens, 0]
        known_grids = (self._metadata_grid(), grid and _square_of(grid))
        grids = [(prefix, known) for known in known_grids if known for prefix in prefixes]
        squares = [(prefix, 2 * (math.isqrt(max(total - prefix, 0)),)) for prefix in prefixes]
        for prefix, found in (*grids, *squares):
            if math.prod(found) == total - prefix > 0:
                positions = self.tensors["pos_embed"]
                return positions[:, :prefix], positions[:, prefix:], tuple(found)
        raise ValueError(
            f"In {self.label} the tensor 'pos_embed' is of shape {self.tensors['pos_embed'].shape}: {total} positions are "
            f"no square of patches, with or without {self.num_prefix_tokens} prefix tokens. For images that are not "
            "square pass `image_size=(height, width)`."
        )

    def architecture(self, image_size=None):
        """Infers the constructor arguments of the model from the tensors and the metadata.

        Args:
            image_size: `(height, width)` in pixels to assume if the metadata states none and as many patches are no square.

        Returns:
            Dictionary of constructor arguments. `num_heads` is among them only if the metadata states it, because no
            tensor's shape depends on it; `num_classes` only if there is a head.

        Raises:
            ValueError: If the checkpoint is of another family, or a tensor is missing or has another rank.
        """
        if self.family == "regnety":
            inferred = self._regnety_arguments()
        else:
            inferred = {**self._deit_arguments(image_size), **self.metadata}
        if self.num_classes is not None:
            inferred["num_classes"] = self.num_classes
        return inferred

    def _deit_arguments(self, image_size):
        hidden_dim, channels, patch_size, width = self.shape("patch_embed.proj.weight", 4)
        if channels != 3 or width != patch_size:
            raise ValueError(
                f"Expected square patches of images with 3 channels in {self.label}. Received: patches of "
                f"{patch_size} × {width} pixels, {channels} channels"
            )
        grid = image_size and tuple(side // patch_size for side in image_size)
        prefix, _, (rows, columns) = self.positions(grid)
        arguments = {
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
            arguments["layer_scale_init"] = _PLACEHOLDER_SCALE
            if not arguments["prefix_positions"]:  # DeiT III
                arguments["drop_path_schedule"] = "constant"
        return arguments

    def _regnety_arguments(self):
        stages = range(1, self._count(r"s(\d+)\.b") + 1)
        return {
            "widths": tuple(self.shape(f"s{stage}.b1.conv3.conv.weight", 4)[0] for stage in stages),
            "depths": tuple(self._count(rf"s{stage}\.b(\d+)\.") for stage in stages),
            "group_width": self.shape("s1.b1.conv2.conv.weight", 4)[1],
        }

    def _metadata_grid(self):
        if "image_size" not in self.metadata:
            return None
        patch_size = self.shape("patch_embed.proj.weight", 4)[-1]
        return tuple(side // patch_size for side in self.metadata["image_size"])

    def _count(self, pattern):
        return len({match[1] for match in map(re.compile(pattern).match, self.tensors) if match})


def _square_of(grid):
    """Returns the square grid of as many patches as `grid`, which most checkpoints have; `grid` if there is none."""
    num_patches = math.prod(grid)
    side = math.isqrt(num_patches)
    return (side, side) if side * side == num_patches else grid


def open_checkpoint(source, weights_entry=None):
    """Reads a checkpoint of timm, the official code or transformers.

    Args:
        source: Path of a `.safetensors` or PyTorch file, or of a directory as on the Hugging Face hub; a dictionary from
            names to arrays or PyTorch tensors, or the content of a file that `to_official` wrote; or a `Checkpoint`, which
            is returned unchanged.
        weights_entry: Key of the weights in a file that holds several, or the prefix of their names; None means that they
            are under `model` or `state_dict`, or the only ones.

    Returns:
        A `Checkpoint`.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If the file is missing, damaged, or holds anything but weights.
    """
    if isinstance(source, Checkpoint):
        return source
    if isinstance(source, dict):
        metadata = check_arguments(files.own_entry(source, files.METADATA), "The checkpoint")
        checkpoint = _translate(*choose(source, weights_entry, "the checkpoint"), "the checkpoint", metadata)
        return dataclasses.replace(checkpoint, **own_record(files.own_entry(source, files.RECORD)))
    tensors, notes = files.read_with_notes(source, weights_entry)
    with reading(source):
        checkpoint = _translate(tensors, notes, f"the checkpoint {str(source)!r}", files.read_metadata(source))
        record = read_record(source, checkpoint.metadata.get("image_size"))
        return dataclasses.replace(checkpoint, **{**record, "notes": (*checkpoint.notes, *record["notes"])})


def _translate(tensors, notes, label, metadata):
    if len(tensors) > _MAX_TENSORS:
        raise ValueError(
            f"Expected at most {_MAX_TENSORS:,} tensors, more than any DeiT or RegNetY has, in {label}. Received: "
            f"{len(tensors):,}."
        )
    if any(map(is_pooler, tensors)):
        notes = (*notes, "The pooler is left out.")
    try:
        translated = to_timm(tensors)
    except ValueError as error:
        raise ValueError(f"In {label}: {error}") from error
    return Checkpoint(translated, label, metadata, notes)
