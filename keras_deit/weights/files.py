"""Checkpoints as files: safetensors without PyTorch, and `.pth` without running what is in it."""

import argparse
import json
import pathlib
import re

import numpy as np

from keras_deit.runtime.files import replacing
from keras_deit.runtime.optional import require

_WRAPPERS = ("model", "state_dict")  # under which training scripts store the weights
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
CONFIG = "config.json"
PICKLES = (".pth", ".pt", ".bin")
ENDINGS = (".safetensors", *PICKLES)
_OWN_METADATA = "keras_deit"
TOLD = ("image_size", "num_heads", "layer_norm_epsilon", "drop_path_schedule")  # kept as metadata by `write`
_TOLD_BY_TRANSFORMERS = {  # what no tensor's shape shows, by the names of a config.json
    "image_size": "image_size",
    "num_attention_heads": "num_heads",
    "layer_norm_eps": "layer_norm_epsilon",
}


def is_checkpoint(path):
    """Tells whether a path, of a file that need not be there or of a directory, is one that `read` takes.

    Args:
        path: The path.

    Returns:
        A boolean.
    """
    path = pathlib.Path(path)
    return path.suffix in ENDINGS or any((path / name).exists() for name in HUB_FILES)


def read(path):
    """Reads a checkpoint.

    Args:
        path: A `.safetensors` file; a `.pth`, `.pt` or `.bin` file of PyTorch's; or a directory that holds one of the hub's
            files.

    Returns:
        A dictionary from names to NumPy arrays.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If the file is missing, damaged, or holds anything but weights.
    """
    path = _file(path)
    if path.suffix not in ENDINGS:
        raise ValueError(
            f"{str(path)!r} should end in one of {', '.join(ENDINGS)}. A model saved as `.keras` is loaded by "
            "`keras.saving.load_model`."
        )
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)


def told(path):
    """What a file tells of its model beside the tensors: the metadata that `write` leaves, or transformers' `config.json`.

    Args:
        path: As for `read`.

    Returns:
        A dictionary of constructor's arguments, among them `image_size`, `num_heads` and `layer_norm_epsilon`; empty where
        nothing is told.
    """
    path = _file(path)
    stored = _own_metadata(path) if path.suffix == ".safetensors" else {}
    config = path.with_name(CONFIG)
    if not stored and config.exists():
        theirs = _dictionary(config.read_text(encoding="utf-8"))
        stored = {ours: theirs[name] for name, ours in _TOLD_BY_TRANSFORMERS.items() if name in theirs}
    if isinstance(stored.get("image_size"), int):
        stored["image_size"] = 2 * [stored["image_size"]]
    return {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}


def write(checkpoint, path, told=None):
    """Writes a checkpoint as safetensors, whole or not at all.

    Args:
        checkpoint: Dictionary from names to NumPy arrays.
        path: The file.
        told: Dictionary of constructor's arguments to keep as metadata, which other readers pass over.
    """
    safetensors = require("safetensors.numpy", extra="weights", purpose="Writing a safetensors file")
    metadata = {"format": "pt", **({_OWN_METADATA: json.dumps(told)} if told else {})}
    with replacing(path) as temporary:
        temporary.touch()
        usual = temporary.stat().st_mode
        safetensors.save_file(checkpoint, temporary, metadata=metadata)
        temporary.chmod(usual)  # safetensors would keep the file from everybody else


def write_pickle(stored, path):
    """Writes a dictionary of checkpoints as PyTorch does, whole or not at all.

    Args:
        stored: Dictionary from names to dictionaries from names to NumPy arrays.
        path: The file.
    """
    torch = require("torch", extra="torch", purpose=f"Writing the PyTorch file {str(path)!r}")
    tensors = {
        key: {name: torch.from_numpy(np.array(value)) for name, value in checkpoint.items()}
        for key, checkpoint in stored.items()
    }
    with replacing(path) as temporary:
        torch.save(tensors, temporary)


def _file(path):
    path = pathlib.Path(path)
    if path.is_dir():
        present = [path / name for name in HUB_FILES if (path / name).exists()]
        if not present:
            raise ValueError(f"The directory {str(path)!r} holds no checkpoint: none of {', '.join(HUB_FILES)}.")
        return present[0]
    if not path.exists():
        raise ValueError(f"There is no checkpoint at {str(path)!r}: no such file or directory.")
    return path


def _own_metadata(path):
    safetensors = require("safetensors", extra="weights", purpose="Reading a safetensors file")
    with safetensors.safe_open(path, framework="numpy") as file:
        stored = _dictionary((file.metadata() or {}).get(_OWN_METADATA, "{}"))
    return {name: value for name, value in stored.items() if name in TOLD}


def _dictionary(text):
    """A JSON object; of anything else nothing is taken."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _read_safetensors(path):
    safetensors = require("safetensors", extra="weights", purpose="Reading a safetensors file")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no dictionary
    except (safetensors.SafetensorError, TypeError) as error:
        raise ValueError(
            f"The file {str(path)!r} is no whole safetensors file ({error}). Was its download or its copy cut short? Fetch "
            "it again."
        ) from error


def _read_pickle(path):
    torch = require("torch", extra="torch", purpose=f"Reading the PyTorch file {str(path)!r}")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # the official script stores its options so
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or a dangerous file brings about
        objects = re.findall(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it holds {', '.join(objects)}" if objects else str(error).partition("\n")[0][:200]
        raise ValueError(
            f"The file {str(path)!r} cannot be read as PyTorch weights: {reason}. It is damaged, or it holds Python objects "
            "that could run code, which are never loaded. Where it was made, store the weights alone: "
            "`torch.save(model.state_dict(), path)`."
        ) from error
    while isinstance(stored, dict) and (inner := next((key for key in _WRAPPERS if key in stored), None)):
        stored = stored[inner]
    if not isinstance(stored, dict) or not all(isinstance(value, torch.Tensor) for value in stored.values()):
        raise ValueError(f"The file {str(path)!r} holds no dictionary of weights.")
    return {name: _to_numpy(value) for name, value in stored.items()}


def _to_numpy(tensor):
    return np.asarray(tensor.float() if tensor.is_floating_point() else tensor)
