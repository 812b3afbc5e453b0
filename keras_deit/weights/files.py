"""Checkpoint files: safetensors without PyTorch, and `.pth` without running code stored in the file."""

import json
import pathlib
import re
import tarfile
import zipfile

import numpy as np

from keras_deit.runtime.files import replacing, user_path
from keras_deit.runtime.foreign_files import reading
from keras_deit.runtime.optional import require
from keras_deit.runtime.similar_names import did_you_mean, similar_paths
from keras_deit.weights.entries import choose
from keras_deit.weights.foreign_config import arguments_of, check_arguments
from keras_deit.weights.pytorch_file import read_pytorch
from keras_deit.weights.safetensors_file import read_safetensors, read_safetensors_metadata

INDEX = ".index.json"  # the end of the name of a file that lists the parts of a checkpoint
HUB_FILES = (  # in the order of preference
    "model.safetensors",
    f"model.safetensors{INDEX}",
    "pytorch_model.bin",
    f"pytorch_model.bin{INDEX}",
)
_PART = r"(model|pytorch_model)-\d+-of-\d+\.(safetensors|bin)"  # of a checkpoint in several files
CONFIG = "config.json"
SAFETENSORS, PYTORCH = ".safetensors", ".pth"  # the two formats
EXTENSIONS = (SAFETENSORS, PYTORCH, ".pt", ".bin")
_LEGACY_PYTORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the first bytes of a file of PyTorch before 1.6
METADATA = (
    "image_size",
    "num_heads",
    "layer_norm_epsilon",
    "drop_path_schedule",
)  # arguments that no tensor determines
RECORD = ("class_names", "preprocessing", "multi_label")  # of the data of the weights
_METADATA_KEY = "keras_deit"  # of METADATA and RECORD in a safetensors file's own metadata, and in a PyTorch file


def is_checkpoint(path):
    """Tells whether a path is that of a checkpoint: by a file's extension or first bytes, or by the files in a directory.

    Args:
        path: Path of a file, which need not exist, or of a directory.

    Returns:
        A boolean.
    """
    path = user_path(path)
    is_named_so = path.suffix in EXTENSIONS or path.name.endswith(INDEX)
    return (
        is_named_so
        or any((path / name).exists() for name in HUB_FILES)
        or (path.is_file() and _format(path) is not None)
    )


def read_with_notes(path, weights_entry=None):
    """Reads a checkpoint.

    Args:
        path: Path of a `.safetensors` file, of a PyTorch file (`.pth`, `.pt`, `.bin`, or `.ckpt`, `.pth.tar` and others that
            are recognised by their first bytes), of the index of a checkpoint in several files
            (`model.safetensors.index.json`), or of a directory that holds one of `HUB_FILES`.
        weights_entry: Key of the weights in a file that holds several, or the prefix of their names, see
            `keras_deit.weights.entries.choose`.

    Returns:
        Dictionary from names to NumPy arrays, and a tuple of sentences on what was chosen and left out.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If the file is missing, damaged, or holds anything but weights.
    """
    path = _checkpoint_file(path)
    with reading(path):
        stored = {}
        for file in parts(path) or [path]:
            if not file.exists():
                raise ValueError(
                    f"The file {str(path)!r} lists {file.name!r}, which does not exist beside it. Copy or download it too."
                )
            stored = {**stored, **_read_one(file)} if path.name.endswith(INDEX) else _read_one(file)
        return choose(stored, weights_entry, f"the file {str(path)!r}")


def parts(path):
    """Lists the files of a checkpoint in several files.

    Args:
        path: `pathlib.Path` of a checkpoint file.

    Returns:
        List of `pathlib.Path` beside the file; empty for a checkpoint in one file.

    Raises:
        ValueError: If the file is an index that lists no files, or files in other directories.
    """
    if not path.name.endswith(INDEX):
        return []
    names = parse_object(path.read_text(encoding="utf-8", errors="replace")).get("weight_map")
    names = set(names.values()) if isinstance(names, dict) else {None}
    if not all(isinstance(name, str) and name == pathlib.PurePath(name).name and name for name in names):
        raise ValueError(
            f"The file {str(path)!r} must list the files of a checkpoint, which lie beside it, under 'weight_map'. "
            f"Received: {', '.join(sorted(map(repr, names)))[:200]}"
        )
    return [path.with_name(name) for name in sorted(names)]


def read_metadata(path):
    """Reads the constructor arguments that are stored beside the tensors.

    They come from the metadata that `write` and `write_pickle` store, or from transformers' `config.json`, see
    `configuration`.

    Args:
        path: As for `read_with_notes`.

    Returns:
        Dictionary of constructor arguments of a DeiT, a subset of `METADATA`; empty if none are stored.
    """
    path = _checkpoint_file(path)
    with reading(path):
        stored = _own_metadata(path, (*METADATA, *RECORD))
    config = configuration(path, CONFIG)
    if not stored and config is not None:
        with reading(config):
            label = f"The file {str(config)!r}"
            return check_arguments(
                arguments_of(parse_object(config.read_text(encoding="utf-8", errors="replace")), label), label
            )
    arguments = {name: value for name, value in stored.items() if name in METADATA}
    return check_arguments(arguments, f"The metadata of {str(path)!r}")


def configuration(path, name):
    """Finds a configuration of a checkpoint: a file beside it, if the checkpoint is called as on the hub.

    Beside another file, such as a download, a configuration may be of another model.

    Args:
        path: As for `read_with_notes`.
        name: Name of the configuration, such as `CONFIG`.

    Returns:
        The `pathlib.Path` of the configuration, or None.
    """
    path = _checkpoint_file(path)
    beside = path.with_name(name)
    return beside if _is_of_hub(path) and beside.exists() else None


def ignored_configurations(path, names):
    """Lists the configurations beside a checkpoint that `configuration` does not take for its own.

    Args:
        path: As for `read_with_notes`.
        names: Names of configurations.

    Returns:
        List of those of the names whose files exist.
    """
    path = _checkpoint_file(path)
    return [] if _is_of_hub(path) else [name for name in names if path.with_name(name).exists()]


def _is_of_hub(path):
    return path.name in HUB_FILES or path.name.endswith(INDEX) or bool(re.fullmatch(_PART, path.name))


def read_own_record(path):
    """Reads what is known about the data of the weights from the metadata that `write` or `write_pickle` stored.

    Args:
        path: As for `read_with_notes`.

    Returns:
        Dictionary with the keys of `RECORD`, None for what the model did not know; empty for a file of another package.
    """
    return _own_metadata(_checkpoint_file(path), RECORD)


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


def write_pickle(checkpoint, path, metadata):
    """Writes a PyTorch file as the official code does, with the tensors under `"model"`, atomically.

    Args:
        checkpoint: Dictionary from names to NumPy arrays.
        path: Path of the file.
        metadata: Dictionary of values that JSON can hold, to store beside `"model"`, which other readers ignore.
    """
    torch = require("torch", extra="torch", purpose=f"Writing the PyTorch file {str(path)!r}")
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in checkpoint.items()}
    plain = json.loads(json.dumps(metadata))  # lists, strings and numbers, which `torch.load(weights_only=True)` reads
    with replacing(path) as temporary:
        torch.save({"model": tensors, _METADATA_KEY: plain}, temporary)


def _checkpoint_file(path):
    path = user_path(path)
    if path.is_dir():
        present = [path / name for name in HUB_FILES if (path / name).exists()]
        if not present:
            raise ValueError(f"The directory {str(path)!r} holds no checkpoint: it has none of {', '.join(HUB_FILES)}.")
        return present[0]
    if not path.exists():
        raise ValueError(
            f"There is no checkpoint at {str(path)!r}: no such file or directory.{did_you_mean(similar_paths(path))}"
        )
    return path


def own_entry(stored, names):
    """Returns what `write_pickle` stored beside the tensors.

    Args:
        stored: Content of a PyTorch file, or a dictionary in memory of the same form.
        names: The wanted names, `METADATA` or `RECORD`.

    Returns:
        Dictionary of the values that are stored; empty for anything else.
    """
    own = stored.get(_METADATA_KEY) if isinstance(stored, dict) else None
    return _named(own, names) if isinstance(own, dict) else {}


def _own_metadata(path, names):
    found = _format(path)
    if found == SAFETENSORS:
        return _named(parse_object(read_safetensors_metadata(path).get(_METADATA_KEY, "{}")), names)
    if found is None:  # the index of a checkpoint in several files, or a file that cannot be read
        return {}
    return own_entry(
        read_pytorch(path, in_place=zipfile.is_zipfile(path)), names
    )  # PyTorch before 1.6 wrote no archives


def _format(path):
    """The format of a file: that of its extension, unless its first bytes show another one; None for an unknown one."""
    if path.suffix == SAFETENSORS:
        return SAFETENSORS
    with path.open("rb") as file:
        head = file.read(len(_LEGACY_PYTORCH))
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:  # the length of a JSON header
        return SAFETENSORS
    is_pytorch = path.suffix in EXTENSIONS or head == _LEGACY_PYTORCH or _is_pytorch_archive(path)
    return PYTORCH if is_pytorch else None


def _is_pytorch_archive(path):
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def _named(values, names):
    return {name: value for name, value in values.items() if name in names}


def parse_object(text):
    """Parses a JSON object.

    Args:
        text: String.

    Returns:
        The object, a dictionary; empty if the text is anything else.
    """
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _read_one(path):
    found = _format(path)
    if found is None:
        advice = (
            " The file is an archive of tar: unpack it, and pass the file inside." if tarfile.is_tarfile(path) else ""
        )
        raise ValueError(
            f"A checkpoint's file name must end in one of {', '.join(EXTENSIONS)}, or the file must be one of PyTorch or "
            f"safetensors under another name. Received: {str(path)!r}, which is neither.{advice} Load a model saved as "
            "`.keras` by `keras_deit.pretrained`."
        )
    return read_safetensors(path) if found == SAFETENSORS else read_pytorch(path)
