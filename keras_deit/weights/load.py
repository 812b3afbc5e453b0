"""Foreign checkpoints into our models, with an account of every tensor."""

import dataclasses
import math

import numpy as np

from keras_deit.weights.checkpoint import HEADS, open_checkpoint
from keras_deit.weights.names import timm_name, to_our_layout
from keras_deit.weights.positions import resize_positions


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What became of a checkpoint and of a model.

    Attributes:
        used: Names (timm's) of the tensors that went into the model.
        left: Names of the tensors that did not.
        fresh: Paths of the model's variables that kept their values.
        notes: Sentences about what was changed on the way.
    """

    used: tuple
    left: tuple
    fresh: tuple
    notes: tuple

    def __str__(self):
        lines = [f"{len(self.used)} tensors used, {len(self.left)} left, {len(self.fresh)} of the model's kept."]
        return "\n".join([*lines, *self.notes])


def load(model, source, ignore_prefixes=()):
    """Loads a checkpoint of timm, of the official code or of transformers into a model.

    All is read and checked before the first variable changes.

    Args:
        model: A `DeiT`, `DeiTBackbone`, `DeiTClassifier` or `RegNetY`.
        source: Path of a `.safetensors` or a `.pth` file or of a directory of the hub's; or a dictionary from names to
            arrays.
        ignore_prefixes: Prefixes of names: of the model's variables that may keep their values (such as `"class_head"`), and
            of the checkpoint's tensors, in timm's names, that may be left (such as `"head"`).

    Returns:
        A `LoadReport`. Heads for another number of classes stay fresh, positions are resized for another number of patches,
        and a class token becomes a distillation token, or a distillation token is dropped, with a note on each.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If the file is damaged or not all is accounted for; the message names the file and the tensor.

    Example:

    ```python
    model = kd.DeiT.from_variant("deit_b", num_classes=10, image_size=384)
    print(kd.weights.load(model, "deit_base_distilled_patch16_224.safetensors"))
    ```
    """
    variables = {variable.path: variable for variable in model.weights}
    shapes = {path: tuple(variable.shape) for path, variable in variables.items()}
    loading = _Loading(open_checkpoint(source), shapes, ignore_prefixes)
    loading.convert_tokens(_grid(model))
    values = loading.values()
    report = loading.report(values)
    for path, value in values.items():
        variables[path].assign(value)
    return report


class _Loading:
    """A checkpoint on its way into a model of certain shapes."""

    def __init__(self, checkpoint, shapes, ignore_prefixes):
        self.checkpoint = dataclasses.replace(checkpoint, tensors=dict(checkpoint.tensors))
        self.tensors = self.checkpoint.tensors
        self.name = checkpoint.label
        self.shapes = shapes
        self.ignore_prefixes = tuple(ignore_prefixes)
        self.fresh_heads = []
        self.notes = []
        self.dropped = []

    def convert_tokens(self, grid):
        """Brings tokens, their positions and heads to the model's layout."""
        if grid is None or "pos_embed" not in self.tensors:
            return
        wanted = 2 if "prefix_tokens/distillation_token" in self.shapes else 1
        given = self.checkpoint.num_prefix_tokens
        prefixed = self.shapes["prefix_tokens/positions"][1] > math.prod(grid)
        prefix, patches, source = self.checkpoint.positions(grid, prefixed)
        if (prefix.shape[1] > 0) != prefixed:
            raise ValueError(
                f"{self.name} has {'positions' if prefix.shape[1] else 'no position'} for its prefix tokens, and the model "
                f"is built with `prefix_positions={prefixed}`. Build it with `prefix_positions={not prefixed}`."
            )
        if given < wanted:
            self._copy_class_token()
            prefix = np.repeat(prefix[:, :1], 2, axis=1) if prefix.shape[1] else prefix
        elif given > wanted:
            self._drop_distillation_token()
            prefix = prefix[:, :1]
        if source != grid:
            sizes = (f"{rows}×{columns}" for rows, columns in (source, grid))
            self.notes.append(f"Positions resized from {' to '.join(sizes)} patches.")
        self.tensors["pos_embed"] = np.concatenate([prefix, resize_positions(patches, source, grid)], axis=1)

    def values(self):
        """The model's new values by path, checked."""
        values = {}
        for path, shape in self.shapes.items():
            name = timm_name(path)
            if name not in self.tensors:
                continue
            if self.tensors[name].ndim != len(shape):
                raise self._misshaped(name, path)
            value = to_our_layout(path, self.tensors[name])
            head = path.split("/")[0]
            if head in HEADS and value.shape[-1] != shape[-1] and value.shape[:-1] == shape[:-1]:
                self._leave_head(head, value.shape[-1], shape[-1])
            elif value.shape != shape:
                raise self._misshaped(name, path)
            elif not np.all(np.isfinite(value)):
                raise ValueError(f"In {self.name} the tensor {name!r} holds values that are not finite numbers.")
            else:
                values[path] = value
        return values

    def report(self, values):
        """The account, or an error where something is left or missing that nobody allowed."""
        used = {timm_name(path) for path in values}
        left = [name for name in self.tensors if name not in used]
        fresh = [path for path in self.shapes if path not in values]
        unexpected = [name for name in left if not self._allowed(name)]
        missing = [f"{timm_name(path)} (here {path})" for path in fresh if not self._allowed(path)]
        if missing or unexpected:
            raise ValueError(
                f"Not all of {self.name} and of the model is accounted for. Missing in it: {_some(missing)}. Left over of "
                f"it: {_some(unexpected)}. Choose the variant that it belongs to, or say which part may differ: "
                "`keras_deit.weights.load(model, source, ignore_prefixes=[...])`. The model is as it was."
            )
        allowed = [path for path in fresh if path.split("/")[0] not in self.fresh_heads]
        if allowed:
            self.notes.append(f"Fresh: {', '.join(allowed)}.")
        return LoadReport(tuple(sorted(used)), (*left, *self.dropped), tuple(fresh), tuple(self.notes))

    def _misshaped(self, name, path):
        return ValueError(
            f"In {self.name} the tensor {name!r} is of shape {self.tensors[name].shape}, and the model's {path} of shape "
            f"{self.shapes[path]}. Is it a checkpoint of another variant?"
        )

    def _allowed(self, name):
        return name.startswith(self.ignore_prefixes) if self.ignore_prefixes else False

    def _copy_class_token(self):
        copies = {"cls_token": "dist_token", "head.weight": "head_dist.weight", "head.bias": "head_dist.bias"}
        for source, target in copies.items():
            if source in self.tensors:
                self.tensors[target] = self.tensors[source]
        self.notes.append(
            "The checkpoint has one token: the distillation token, its position and head are the class token's."
        )

    def _drop_distillation_token(self):
        for name in ("dist_token", "head_dist.weight", "head_dist.bias"):
            if self.tensors.pop(name, None) is not None:
                self.dropped.append(name)
        self.notes.append(
            "The checkpoint has two tokens and the model one: the distillation token and its head are dropped."
        )

    def _leave_head(self, head, given, wanted):
        self.ignore_prefixes = (*self.ignore_prefixes, f"{head}/", f"{HEADS[head]}.")
        if head not in self.fresh_heads:
            self.fresh_heads.append(head)
            which = head.replace("_", " ")
            self.notes.append(
                f"The {which} is fresh: the checkpoint's is for {given} classes and the model's for {wanted}."
            )


def _grid(model):
    """`(height, width)` in patches, None for a model without any."""
    backbone = getattr(model, "backbone", model)
    if not hasattr(backbone, "patch_size"):
        return None
    return tuple(side // backbone.patch_size for side in backbone.image_size)


def _some(names, limit=5):
    if not names:
        return "nothing"
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
