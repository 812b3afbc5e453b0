"""Checkpoints as files: safetensors without PyTorch, and `.pth` without running what is in it."""

import argparse
import pathlib

import numpy as np

from keras_deit.extras import require
from keras_deit.files import replacing

_WRAPPERS = ("model", "state_dict")  # under which training scripts store the weights
HUB_FILES = ("model.safetensors", "pytorch_model.bin")


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
    path = pathlib.Path(path)
    if path.is_dir():
        present = [path / name for name in HUB_FILES if (path / name).exists()]
        if not present:
            raise ValueError(f"The directory {str(path)!r} holds no checkpoint: none of {', '.join(HUB_FILES)}.")
        path = present[0]
    if not path.exists():
        raise ValueError(f"There is no checkpoint at {str(path)!r}: no such file or directory.")
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)


def write(checkpoint, path):
    """Writes a checkpoint as safetensors, whole or not at all.

    Args:
        checkpoint: Dictionary from names to NumPy arrays.
        path: The file.
    """
    safetensors = require("safetensors.numpy", extra="weights", purpose="Writing a safetensors file")
    with replacing(path) as temporary:
        safetensors.save_file(checkpoint, temporary, metadata={"format": "pt"})


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
        raise ValueError(
            f"The file {str(path)!r} cannot be read as PyTorch weights ({' '.join(str(error).split())[:300]}). It is "
            "damaged, or it holds Python objects that could run code, which are never loaded. Convert it to safetensors "
            "where it was made."
        ) from error
    while isinstance(stored, dict) and (inner := next((key for key in _WRAPPERS if key in stored), None)):
        stored = stored[inner]
    if not isinstance(stored, dict) or not all(isinstance(value, torch.Tensor) for value in stored.values()):
        raise ValueError(f"The file {str(path)!r} holds no dictionary of weights.")
    return {name: _to_numpy(value) for name, value in stored.items()}


def _to_numpy(tensor):
    return np.asarray(tensor.float() if tensor.is_floating_point() else tensor)
