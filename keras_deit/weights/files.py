"""Checkpoint files: safetensors without PyTorch, and `.pth` without running code stored in the file."""

import argparse
import json
import pathlib
import re

import numpy as np

from keras_deit.runtime.files import replacing
from keras_deit.runtime.optional import require

HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # in the order of preference
CONFIG = "config.json"
EXTENSIONS = (".safetensors", ".pth", ".pt", ".bin")
METADATA = (
    "image_size",
    "num_heads",
    "layer_norm_epsilon",
    "drop_path_schedule",
)  # arguments that no tensor determines
_METADATA_KEY = "keras_deit"  # of our arguments in a safetensors file's own metadata
_TRANSFORMERS_METADATA = {  # names in transformers' config.json to ours
    "image_size": "image_size",
    "num_attention_heads": "num_heads",
    "layer_norm_eps": "layer_norm_epsilon",
}
_WEIGHT_KEYS = ("model", "state_dict")  # under which training scripts store the weights


def is_checkpoint(path):
    """Tells whether a path is that of a checkpoint: by a file's extension, or by the files in a directory.

    Args:
        path: Path of a file, which need not exist, or of a directory.

    Returns:
        A boolean.
    """
    path = pathlib.Path(path)
    return path.suffix in EXTENSIONS or any((path / name).exists() for name in HUB_FILES)


def read(path):
    """Reads a checkpoint.

    Args:
        path: Path of a `.safetensors` file, of a PyTorch file (`.pth`, `.pt` or `.bin`), or of a directory that holds
            `model.safetensors` or `pytorch_model.bin`.

    Returns:
        Dictionary from names to NumPy arrays.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If the file is missing, damaged, or holds anything but weights.
    """
    path = _checkpoint_file(path)
    if path.suffix not in EXTENSIONS:
        raise ValueError(
            f"A checkpoint's file name must end in one of {', '.join(EXTENSIONS)}. Received: {str(path)!r}. Load a model "
            "saved as `.keras` by `keras_deit.pretrained`."
        )
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)


def read_metadata(path):
    """Reads the constructor arguments that are stored beside the tensors.

    They come from the metadata that `write` stores in a safetensors file, or from transformers' `config.json`.

    Args:
        path: As for `read`.

    Returns:
        Dictionary of constructor arguments of a DeiT, a subset of `METADATA`; empty if none are stored.
    """
    path = _checkpoint_file(path)
    stored = _own_metadata(path) if path.suffix == ".safetensors" else {}
    config = path.with_name(CONFIG)
    if not stored and config.exists():
        theirs = _parse_object(config.read_text(encoding="utf-8"))
        stored = {ours: theirs[name] for name, ours in _TRANSFORMERS_METADATA.items() if name in theirs}
    if isinstance(stored.get("image_size"), int):
        stored["image_size"] = 2 * [stored["image_size"]]
    return {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}


def write(checkpoint, path, metadata=None):
    """Writes a safetensors file, atomically.

    Args:
        checkpoint: Dictionary from names to NumPy arrays.
        path: Path of the file.
        metadata: Dictionary of constructor arguments to store beside the tensors, which other readers ignore.
    """
    safetensors = require("safetensors.numpy", extra="weights", purpose="Writing a safetensors file")
    own_metadata = {_METADATA_KEY: json.dumps(metadata)} if metadata else {}
    with replacing(path) as temporary:
        temporary.touch()
        usual_mode = temporary.stat().st_mode
        safetensors.save_file(checkpoint, temporary, metadata={"format": "pt", **own_metadata})
        temporary.chmod(usual_mode)  # safetensors creates files that only their owner can read


def write_pickle(stored, path):
    """Writes a PyTorch file, atomically.

    Args:
        stored: Dictionary from keys, such as `"model"`, to checkpoints: dictionaries from names to NumPy arrays.
        path: Path of the file.
    """
    torch = require("torch", extra="torch", purpose=f"Writing the PyTorch file {str(path)!r}")
    tensors = {
        key: {name: torch.from_numpy(np.array(value)) for name, value in checkpoint.items()}
        for key, checkpoint in stored.items()
    }
    with replacing(path) as temporary:
        torch.save(tensors, temporary)


def _checkpoint_file(path):
    path = pathlib.Path(path)
    if path.is_dir():
        present = [path / name for name in HUB_FILES if (path / name).exists()]
        if not present:
            raise ValueError(
                f"The directory {str(path)!r} holds no checkpoint: it has neither {' nor '.join(HUB_FILES)}."
            )
        return present[0]
    if not path.exists():
        raise ValueError(f"There is no checkpoint at {str(path)!r}: no such file or directory.")
    return path


def _own_metadata(path):
    safetensors = require("safetensors", extra="weights", purpose="Reading a safetensors file")
    with safetensors.safe_open(path, framework="numpy") as file:
        stored = _parse_object((file.metadata() or {}).get(_METADATA_KEY, "{}"))
    return {name: value for name, value in stored.items() if name in METADATA}


def _parse_object(text):
    """Parses a JSON object; anything else counts as an empty one."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _read_safetensors(path):
    safetensors = require("safetensors", extra="weights", purpose="Reading a safetensors file")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is not a dictionary
    except (safetensors.SafetensorError, TypeError) as error:
        raise ValueError(
            f"The file {str(path)!r} is not a complete safetensors file ({error}). If a download or copy was interrupted, "
            "repeat it."
        ) from error


def _read_pickle(path):
    torch = require("torch", extra="torch", purpose=f"Reading the PyTorch file {str(path)!r}")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # the official script stores its options in one
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged and malicious files cause errors of many kinds
        objects = re.findall(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it holds {', '.join(objects)}" if objects else str(error).partition("\n")[0][:200]
        raise ValueError(
            f"The file {str(path)!r} cannot be read as PyTorch weights: {reason}. The file is damaged, or it holds Python "
            "objects that could run code, which are never loaded. Save the weights alone, with "
            "`torch.save(model.state_dict(), path)`."
        ) from error
    weights = _find_weights(stored)
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ValueError(f"Expected a dictionary from names to tensors in the file {str(path)!r}.")
    return {name: _to_numpy(value) for name, value in weights.items()}


def _find_weights(stored):
    """Returns the innermost value under the keys that training scripts use."""
    for key in _WEIGHT_KEYS:
        if isinstance(stored, dict) and key in stored:
            return _find_weights(stored[key])
    return stored


def _to_numpy(tensor):
    return np.asarray(tensor.float() if tensor.is_floating_point() else tensor)
