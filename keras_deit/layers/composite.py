"""What was changed in the sublayers of a layer or model after its construction, as a part of its config."""

import keras

from keras_deit.runtime.keras_private import has_hooks, is_computed_again, own_trainable_variables, sublayers

CHANGES = "sublayers"  # the key in configs


class CompositeLayer(keras.layers.Layer):
    """Base class of layers with sublayers, whose config keeps what was changed in the sublayers.

    Keras saves the config of every layer of a model, but not the configs of the layers inside a layer. Their `trainable`
    flags, their quantization and their LoRA would be lost when the model is saved and loaded. `build` of a subclass must
    end with `restore_sublayers`.
    """

    _changes = None  # of the config, until the sublayers exist

    def run(self, sublayer, tokens, **kwargs):
        """Calls a sublayer from within `call`, see `run_layer`."""
        return run_layer(self, sublayer, tokens, **kwargs)

    def restore_sublayers(self):
        """Changes the sublayers as the config says, see `changes_of`. `build` calls it when all sublayers are built."""
        restore_changes(self, self._changes or {})
        self._changes = None

    def get_config(self):
        changes = self._changes or (changes_of(self) if self.built else {})
        return {**super().get_config(), **({CHANGES: changes} if changes else {})}

    @classmethod
    def from_config(cls, config):
        layer = cls(**{name: value for name, value in config.items() if name != CHANGES})
        layer._changes = config.get(CHANGES)
        return layer


def run_layer(parent, layer, tokens, **kwargs):
    """Calls a layer from within the `call` of the layer or model around it.

    On PyTorch, Keras's preparation of a call takes longer than most layers take on a GPU. It changes nothing for the layers
    of this package that have the attribute `direct_call`: the layer around them has prepared the tokens and set the dtype of
    the variables. Then `layer.call` is called at once.

    Args:
        parent: The layer or model around.
        layer: A built layer.
        tokens: Tensor of the compute dtype of `parent`.
        **kwargs: Further arguments of `layer.call`.

    Returns:
        The outputs.
    """
    return layer.call(tokens, **kwargs) if _can_call_directly(parent, layer) else layer(tokens, **kwargs)


def _can_call_directly(parent, layer):
    return (
        keras.backend.backend() == "torch"
        and "direct_call" in vars(type(layer))  # not in subclasses, which may rely on what Keras prepares
        and layer.dtype_policy == parent.dtype_policy
        and layer.quantization_mode is None
        and not has_hooks(layer)
        and not is_computed_again(layer)
    )


def changes_of(layer):
    """Describes how the layers inside a built layer or model differ from newly built ones.

    Args:
        layer: A built `keras.layers.Layer` or model.

    Returns:
        Dictionary, which JSON can hold, from the paths of the layers that differ, such as `"block_1/mlp"`, to dictionaries
        with some of these keys: `trainable` (only if it differs from that of the layer around it), `variables`
        (dictionary from the names of variables to `trainable`, for those that differ from their layer), `quantization`
        (serialized `keras.quantizers.QuantizationConfig`), and `lora_rank` and `lora_alpha` (of layers that save LoRA).

    Example:

    >>> dense = keras.layers.Dense(2, name="head")
    >>> model = keras.Sequential([keras.Input((3,)), dense])
    >>> dense.trainable = False
    >>> changes_of(model)
    {'head': {'trainable': False}}
    """
    changes = {}
    for path, sublayer, parent in _walk(layer):
        change = {} if sublayer.trainable == parent.trainable else {"trainable": sublayer.trainable}
        if sublayer.quantization_mode is not None:
            change["quantization"] = keras.saving.serialize_keras_object(sublayer.quantization_config)
        keeps_lora = getattr(sublayer, "keeps_lora", False)
        if keeps_lora:
            change.update({"lora_rank": sublayer.lora_rank, "lora_alpha": sublayer.lora_alpha})
        if keeps_lora == getattr(sublayer, "lora_enabled", False):  # else the saved kernel has its LoRA merged
            own = {variable.name: variable.trainable for variable in own_trainable_variables(sublayer)}
            own = {name: trainable for name, trainable in own.items() if trainable != sublayer.trainable}
            change.update({"variables": own} if own else {})
        if change:
            changes[path] = change
    return changes


def restore_changes(layer, changes):
    """Changes the layers inside a newly built layer or model.

    Args:
        layer: A built `keras.layers.Layer` or model.
        changes: What `changes_of` has returned for a layer of the same architecture.

    Raises:
        ValueError: If `changes` is no such dictionary or names layers that do not exist.
    """
    inside = {path: sublayer for path, sublayer, _ in _walk(layer)}
    _check(layer, inside, changes)
    for path, change in changes.items():
        if "quantization" in change and inside[path].quantization_mode is None:
            inside[path].quantize(config=keras.saving.deserialize_keras_object(change["quantization"]))
        if "lora_rank" in change and not inside[path].lora_enabled:
            inside[path].enable_lora(change["lora_rank"], lora_alpha=change["lora_alpha"])
    for path, sublayer, parent in _walk(layer):
        _set_trainable(sublayer, changes.get(path, {}).get("trainable", parent.trainable))
    for path, change in changes.items():
        for variable in own_trainable_variables(inside[path]):
            variable.trainable = change.get("variables", {}).get(variable.name, variable.trainable)


def layers_inside(layer):
    """Lists all layers inside a layer or model, at every depth.

    Args:
        layer: A `keras.layers.Layer` or model.

    Returns:
        List of layers.
    """
    return [sublayer for _, sublayer, _ in _walk(layer)]


def check_not_quantized(model, advice):
    """Checks that all kernels of a model are floats.

    Args:
        model: Keras model.
        advice: What to do otherwise, the end of a sentence.

    Raises:
        ValueError: If a layer is quantized.
    """
    modes = {layer.quantization_mode for layer in layers_inside(model)} - {None}
    if modes:
        raise ValueError(
            f"Checkpoints of timm, the official code and transformers hold kernels in float32, but the model is quantized "
            f"({', '.join(sorted(modes))}): {advice}."
        )


def _walk(layer, prefix=""):
    """Yields the path, the layer and the layer around it, for all layers inside a layer; each before those inside of it."""
    for sublayer in sublayers(layer):
        yield prefix + sublayer.name, sublayer, layer
        yield from _walk(sublayer, f"{prefix}{sublayer.name}/")


def _set_trainable(layer, trainable):
    # On TensorFlow, an assignment of the value that the attribute has already would not reach the layers inside.
    keras.layers.Layer.trainable.fset(layer, trainable)


def _check(layer, inside, changes):
    if not isinstance(changes, dict) or not all(isinstance(change, dict) for change in changes.values()):
        raise ValueError(
            f"`{CHANGES}` in the config of {type(layer).__name__} must be a dictionary from paths of layers to "
            f"dictionaries. Received: {str(changes)[:100]}"
        )
    unknown = sorted(changes.keys() - inside.keys())
    if unknown:
        raise ValueError(
            f"`{CHANGES}` in the config of {type(layer).__name__} must name layers that exist. Received: "
            f"{', '.join(unknown[:5])}. Remove them from `{CHANGES}` if the architecture is another one on purpose."
        )
