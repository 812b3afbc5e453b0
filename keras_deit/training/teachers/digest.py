"""The identity of a teacher."""

import hashlib
import json

import keras
from keras import ops

PROCESS_DEPENDENT = (  # entries of a model's configuration
    "name",
    "inbound_nodes",
    "input_layers",
    "output_layers",
    "seed",
)


def digest_of_model(model):
    """Computes a digest of what a teacher computes: its architecture and weights, without names and random generators.

    Args:
        model: Keras model or another callable.

    Returns:
        Hexadecimal SHA-256; None for a callable without weights, which nothing identifies.
    """
    weights = model.weights if isinstance(model, keras.layers.Layer) else []
    if not weights:
        return None
    config = _without_process_dependent(_config_of(model))
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for variable in weights:
        values = ops.convert_to_numpy(ops.cast(variable, "float32"))
        digest.update(repr(values.shape).encode() + values.tobytes())
    return digest.hexdigest()


def _config_of(model):
    try:
        return model.get_config()
    except NotImplementedError:  # a custom model without a configuration is identified by its weights alone
        return {}


def _without_process_dependent(config):
    """A configuration without the entries that Keras counts up within a process."""
    if isinstance(config, dict):
        kept = {key: value for key, value in config.items() if key not in PROCESS_DEPENDENT}
        return {key: _without_process_dependent(value) for key, value in kept.items()}
    return [_without_process_dependent(value) for value in config] if isinstance(config, (list, tuple)) else config
