"""Loading checkpoints of other frameworks into models, with a report on every tensor."""

import dataclasses
import math

import numpy as np

from keras_deit.imaging.class_names import match_classes
from keras_deit.layers.composite import check_not_quantized
from keras_deit.layers.lora import lora_layers
from keras_deit.runtime.shorten import shorten
from keras_deit.weights.checkpoint import HEADS, open_checkpoint
from keras_deit.weights.names import timm_name, to_our_layout
from keras_deit.weights.positions import resize_positions


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """The report of `load`.

    Attributes:
        used: Names, in timm, of the tensors that were loaded into the model.
        unused: Names, in timm, of the tensors that were not loaded.
        fresh: Paths of the model's variables that kept their values.
        notes: Sentences about conversions, such as resized positions.
    """

    used: tuple
    unused: tuple
    fresh: tuple
    notes: tuple

    def __str__(self):
        counts = f"{len(self.used)} tensors loaded, {len(self.unused)} unused; {len(self.fresh)} variables kept."
        return "\n".join([counts, *self.notes])


def load(model, source, ignore_prefixes=(), weights_entry=None):
    """Loads a checkpoint of timm, the official code or transformers into a model.

    Every tensor of the checkpoint and every variable of the model must have a counterpart. `ignore_prefixes` lists
    exceptions. The following differences are converted, each with a note in the report:

    - another number of classes, or classes with other names: the heads are not loaded and keep their values;
    - the same names of classes in another order: the rows of the heads are reordered;
    - another image size: the position embeddings of the patches are interpolated;
    - a distillation token only in the model: the distillation token, its position embedding and its head are copied from
      the class token;
    - a distillation token only in the checkpoint: the distillation token and its head are dropped.

    The whole checkpoint is read and checked before the first variable changes.

    Args:
        model: A `DeiT`, `DeiTBackbone`, `DeiTClassifier`, `DeiTMaskedImageModel` or `RegNetY`.
        source: Path of a `.safetensors` or PyTorch file, or of a directory as on the Hugging Face hub; or a dictionary from
            names to arrays or PyTorch tensors.
        ignore_prefixes: List of the first components of names. Variables of the model with such a name, for example
            `"class_head"` or `"block_1/mlp"`, keep their values. Tensors of the checkpoint with such a name in timm, for
            example `"head"` or `"blocks.0"`, are not loaded. Only whole components count: `"block_1"` does not include
            `block_10`.
        weights_entry: Key of the weights in a file that holds several, such as `"model_ema"`, or the prefix of their names,
            such as `"teacher"`. None means the key `model` or `state_dict`, or the only key with weights.

    Returns:
        A `LoadReport`.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If the file is damaged, or checkpoint and model do not match; the message names the file and the tensors.

    Example:

    ```python
    model = kd.DeiT.from_variant("deit_b", num_classes=10, image_size=384)
    print(kd.weights.load(model, "deit_base_distilled_patch16_224.safetensors"))
    ```
    """
    check_not_quantized(model, "load the weights before `model.quantize`")
    if lora_layers(model):
        raise ValueError(
            "The model has LoRA, which a checkpoint would not replace: load the weights before `keras_deit.lora.enable`."
        )
    variables = {variable.path: variable for variable in model.weights}
    shapes = {path: tuple(variable.shape) for path, variable in variables.items()}
    checkpoint = open_checkpoint(source, weights_entry)
    loading = _Loading(checkpoint, shapes, ignore_prefixes)
    loading.compare_metadata(getattr(model, "backbone", model))
    loading.convert_tokens(_grid(model))
    loading.convert_heads(getattr(model, "class_names", None))
    values = loading.values()
    report = loading.report(values)
    for path, value in values.items():
        variables[path].assign(value)
    return report


class _Loading:
    """Converts a checkpoint for a model with variables of the given shapes."""

    def __init__(self, checkpoint, shapes, ignore_prefixes):
        self.checkpoint = dataclasses.replace(checkpoint, tensors=dict(checkpoint.tensors))
        self.tensors = self.checkpoint.tensors
        self.label = checkpoint.label
        self.shapes = shapes
        self.ignore_prefixes = _prefixes(ignore_prefixes)
        self.fresh_heads = []
        self.notes = list(checkpoint.notes)
        self.dropped = []

    def compare_metadata(self, backbone):
        """Compares the arguments that no tensor's shape depends on: the model could compute something else in silence."""
        stated = {name: value for name, value in self.checkpoint.metadata.items() if hasattr(backbone, name)}
        heads, epsilon = stated.get("num_heads"), stated.get("layer_norm_epsilon")
        if heads is not None and heads != backbone.num_heads:
            raise ValueError(
                f"The weights need num_heads={heads} in {self.label}. Received: a model with num_heads={backbone.num_heads}"
            )
        if epsilon is not None and epsilon != backbone.layer_norm_epsilon:
            self.notes.append(
                f"The layer norms were trained with epsilon={epsilon:g}, and the model has {backbone.layer_norm_epsilon:g}."
            )

    def convert_tokens(self, grid):
        """Converts tokens, positions and heads to the model's number of tokens and its grid `(rows, columns)` of patches."""
        if grid is None or "pos_embed" not in self.tensors:
            return
        expected_tokens = 2 if "prefix_tokens/distillation_token" in self.shapes else 1
        num_tokens = self.checkpoint.num_prefix_tokens
        prefix_positions = self.shapes["prefix_tokens/positions"][1] > math.prod(grid)
        prefix, patches, source = self.checkpoint.positions(grid, prefix_positions)
        if (prefix.shape[1] > 0) != prefix_positions:
            raise ValueError(
                f"In {self.label} the prefix tokens have {'positions' if prefix.shape[1] else 'no positions'}, but the "
                f"model was built with `prefix_positions={prefix_positions}`. Build it with "
                f"`prefix_positions={not prefix_positions}`."
            )
        if num_tokens < expected_tokens:
            self._copy_class_token()
            prefix = np.repeat(prefix[:, :1], 2, axis=1) if prefix.shape[1] else prefix
        elif num_tokens > expected_tokens:
            self._drop_distillation_token()
            prefix = prefix[:, :1]
        if source != grid:
            self.notes.append(self._describe_resizing(source, grid))
        self.tensors["pos_embed"] = np.concatenate([prefix, resize_positions(patches, source, grid)], axis=1)

    def convert_heads(self, class_names):
        """Reorders the rows of the heads for the model's names of classes; drops the heads if they are of other classes."""
        theirs = self.checkpoint.class_names
        if class_names is None or theirs is None or len(theirs) != len(class_names):
            return
        positions = match_classes(theirs, class_names)
        heads = [f"{head}.{leaf}" for head in HEADS.values() for leaf in ("weight", "bias")]
        if positions is None:
            self.dropped += [name for name in heads if self.tensors.pop(name, None) is not None]
            self.fresh_heads += HEADS
            self.ignore_prefixes += tuple(HEADS)
            self.notes.append(
                f"The heads are not loaded: the checkpoint's classes ({shorten(theirs)}) are not the model's "
                f"({shorten(class_names)})."
            )
        elif np.any(positions != np.arange(len(positions))):
            for name in set(heads) & set(self.tensors):
                self.tensors[name] = self.tensors[name][positions]
            self.notes.append("The heads are reordered: the checkpoint has the model's classes in another order.")

    def values(self):
        """Returns the model's new values by path, after checking them."""
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
                self._keep_fresh_head(head, value.shape[-1], shape[-1])
            elif value.shape != shape:
                raise self._misshaped(name, path)
            elif not np.all(np.isfinite(value)):
                raise ValueError(f"In {self.label} the tensor {name!r} holds values that are not finite.")
            else:
                values[path] = value
        return values

    def report(self, values):
        """Returns the report, or raises an error if checkpoint and model do not match."""
        used = {timm_name(path) for path in values}
        unused = [name for name in self.tensors if name not in used]
        fresh = [path for path in self.shapes if path not in values]
        unexpected = [name for name in unused if not self._is_ignored(name)]
        missing = [f"{timm_name(path)} (here {path})" for path in fresh if not self._is_ignored(path)]
        if missing or unexpected:
            lists = [shorten(names, shown=5) or "nothing" for names in (missing, unexpected)]
            raise ValueError(
                f"The model does not match {self.label}. Missing in the checkpoint: {lists[0]}. Unexpected in the "
                f"checkpoint: {lists[1]}. Build the variant that the checkpoint is of, or name the differences: "
                "`keras_deit.weights.load(model, source, ignore_prefixes=[...])`. The model is unchanged."
            )
        ignored = [path for path in fresh if path.split("/")[0] not in self.fresh_heads]
        if ignored:
            self.notes.append(f"Fresh weights: {', '.join(ignored)}.")
        return LoadReport(tuple(sorted(used)), (*unused, *self.dropped), tuple(fresh), tuple(self.notes))

    def _describe_resizing(self, source, grid):
        sizes = (f"{rows}×{columns}" for rows, columns in (source, grid))
        note = f"Positions resized from {' to '.join(sizes)} patches."
        if "image_size" in self.checkpoint.metadata or math.prod(source) != math.prod(grid):
            return note
        patch_size = self.checkpoint.shape("patch_embed.proj.weight", 4)[-1]
        stated = f'{{"image_size": {[side * patch_size for side in grid]}}}'
        return (
            f"{note} The checkpoint does not state the size of its images, and square ones are assumed. If they are not "
            f"square, state the size in a file config.json beside the checkpoint: {stated}; or for tensors in memory, load "
            f'{{"model": tensors, "keras_deit": {stated}}}.'
        )

    def _misshaped(self, name, path):
        return ValueError(
            f"In {self.label} the tensor {name!r} is of shape {self.tensors[name].shape}, but the model's {path} is of "
            f"shape {self.shapes[path]}. Is the checkpoint of another variant?"
        )

    def _is_ignored(self, name):
        """Tells whether a prefix is the whole name, or ends where a component of the name ends."""
        return any(f"{name}/".startswith((f"{prefix}/", f"{prefix}.")) for prefix in self.ignore_prefixes)

    def _copy_class_token(self):
        copies = {"cls_token": "dist_token", "head.weight": "head_dist.weight", "head.bias": "head_dist.bias"}
        for source, target in copies.items():
            if source in self.tensors:
                self.tensors[target] = self.tensors[source]
        self.notes.append(
            "The checkpoint has one token: the distillation token, its position and head are copied from the class token."
        )

    def _drop_distillation_token(self):
        for name in ("dist_token", "head_dist.weight", "head_dist.bias"):
            if self.tensors.pop(name, None) is not None:
                self.dropped.append(name)
        self.notes.append(
            "The checkpoint has two tokens, the model one: the distillation token and its head are dropped."
        )

    def _keep_fresh_head(self, head, checkpoint_classes, model_classes):
        self.ignore_prefixes = (*self.ignore_prefixes, head, HEADS[head])
        if head not in self.fresh_heads:
            self.fresh_heads.append(head)
            self.notes.append(
                f"The {head.replace('_', ' ')} is not loaded: the checkpoint has {checkpoint_classes} classes, the model "
                f"{model_classes}."
            )


def _prefixes(ignore_prefixes):
    if isinstance(ignore_prefixes, str):
        raise ValueError(f"`ignore_prefixes` must be a list. Pass ignore_prefixes=[{ignore_prefixes!r}].")
    return tuple(prefix.rstrip("/.") for prefix in ignore_prefixes)


def _grid(model):
    """Returns `(rows, columns)` of patches; None for a model without patches."""
    backbone = getattr(model, "backbone", model)
    if not hasattr(backbone, "patch_size"):
        return None
    return tuple(side // backbone.patch_size for side in backbone.image_size)
