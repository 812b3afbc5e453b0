"""Reading PyTorch files without running code stored in them."""

import argparse
import re

from keras_deit.runtime.foreign_files import cause, excerpt
from keras_deit.runtime.optional import require


def read_pytorch(path, in_place=False):
    """Reads what a PyTorch file holds.

    Args:
        path: `pathlib.Path` of the file.
        in_place: Whether the values of the tensors stay in the file, for a reader of the other entries.

    Returns:
        The stored object: dictionaries, lists, numbers, strings and tensors, nothing else.

    Raises:
        ImportError: If PyTorch is not installed.
        ValueError: If the file is damaged, or holds other objects, which could run code.
    """
    torch = require("torch", extra="torch", purpose=f"Reading the PyTorch file {str(path)!r}")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # the official script stores its options in one
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=in_place)
    except Exception as error:  # damaged and malicious files cause errors of many kinds
        objects = re.findall(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it holds {', '.join(objects)}" if objects else excerpt(error) or type(error).__name__
        raise ValueError(
            f"The file {str(path)!r} cannot be read as PyTorch weights: {reason}. The file is damaged, or it holds Python "
            "objects that could run code, which are never loaded. Save the weights alone, with "
            "`torch.save(model.state_dict(), path)`."
        ) from cause(error)
