"""Choosing the weights among everything that a checkpoint holds."""

import numpy as np

from keras_deit.runtime.shorten import shorten

_USUAL = ("model", "state_dict")  # under which training scripts store the weights themselves


def choose(stored, entry, label):
    """Finds the weights in what a checkpoint holds.

    Args:
        stored: What the file holds, or a dictionary in memory: names and tensors, or further dictionaries of them.
        entry: Key of the wanted weights, such as `"model_ema"`, or the prefix of their names, such as `"teacher"`. None
            means the weights under `model` or `state_dict`; or those under the only key that has weights.
        label: Name of the checkpoint in messages.

    Returns:
        Dictionary from names to NumPy arrays, and a tuple of sentences on what was chosen and left out.

    Raises:
        ValueError: If there are no such weights, or several; the message lists what is there.

    Example:

    >>> tensors = {"weight": np.ones(1)}
    >>> choose({"model": tensors, "model_ema": tensors, "epoch": 3}, "model_ema", "the checkpoint")[1]
    ()
    """
    if not isinstance(stored, dict) or not stored:
        raise ValueError(
            f"Expected a dictionary from names to tensors in {label}. Received: {_kind(stored)} without names"
        )
    weights, notes = _find(stored, label) if entry is None else _named(stored, entry, label)
    others = [name for name, value in weights.items() if not _is_tensor(value)]
    if others:
        raise ValueError(
            f"Expected a dictionary from names to tensors in {label}. Received other values: {_listed(weights, others)}. "
            f"{_advice(weights)}"
        )
    return {str(name): _to_numpy(value) for name, value in weights.items()}, notes


def _find(stored, label):
    for key in _USUAL:
        if isinstance(stored.get(key), dict):
            return _find(stored[key], label)
    with_weights = [key for key, value in stored.items() if _has_weights(value)]
    if any(map(_is_tensor, stored.values())) or not with_weights:
        return stored, ()
    if len(with_weights) > 1:
        raise ValueError(
            f"There are several weights in {label}: {_listed(stored, with_weights)}. Choose one with "
            f"`weights_entry={with_weights[0]!r}`."
        )
    weights, notes = _find(stored[with_weights[0]], label)
    return weights, (f"The weights are those under {with_weights[0]!r}.", *notes)


def _named(stored, entry, label):
    if isinstance(stored.get(entry), dict):
        return _find(stored[entry], label)
    weights = stored
    for key in _USUAL:
        weights = weights[key] if isinstance(weights.get(key), dict) else weights
    prefix = f"{entry.rstrip('.')}."
    chosen = {name[len(prefix) :]: value for name, value in weights.items() if str(name).startswith(prefix)}
    if not chosen:
        raise ValueError(f"There are no weights {entry!r} in {label}. It holds {_listed(stored, list(stored))}.")
    left_out = len(weights) - len(chosen)
    return chosen, ((f"{left_out} tensors without the prefix {prefix!r} are left out.",) if left_out else ())


def _has_weights(value):
    """Whether a value is a dictionary of tensors, or of dictionaries of tensors."""
    if not isinstance(value, dict) or not value:
        return False
    return all(isinstance(name, str) and (_is_tensor(one) or _has_weights(one)) for name, one in value.items())


def _is_tensor(value):
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _to_numpy(value):
    if hasattr(value, "detach"):  # a PyTorch tensor or parameter
        value = value.detach().cpu()
        return np.asarray(value.float() if value.is_floating_point() else value)
    return np.asarray(value)


def _listed(stored, names):
    return shorten(f"{name!r} ({_kind(stored[name])})" for name in names)


def _advice(weights):
    with_weights = [key for key, value in weights.items() if _has_weights(value)]
    if not with_weights:
        return "Save the weights alone, as a dictionary from names to tensors."
    return f"Choose weights with `weights_entry={with_weights[0]!r}`."


def _kind(value):
    if _has_weights(value):
        return f"weights, {len(value)} names"
    return "a tensor" if _is_tensor(value) else type(value).__name__
