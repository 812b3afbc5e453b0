"""Reading safetensors files with NumPy alone."""

import json
import math

import ml_dtypes
import numpy as np

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
_MAX_HEADER = 100_000_000  # bytes, as in the safetensors package


def read_safetensors(path):
    """Reads the tensors of a safetensors file.

    Args:
        path: `pathlib.Path` of the file.

    Returns:
        Dictionary from names to NumPy arrays. bfloat16 and float8 values become float32.

    Raises:
        ValueError: If the file is damaged or truncated.

    Reference:
        The format's description: https://huggingface.co/docs/safetensors
    """
    header, start = _read_header(path)
    header.pop("__metadata__", None)
    with path.open("rb") as file:
        file.seek(start)
        data = memoryview(bytearray(path.stat().st_size - start))  # arrays on it are writable
        file.readinto(data)
    spans = [_span(path, name, entry) for name, entry in header.items()]
    if sum(end - begin for begin, end in spans) != len(data) or any(end > len(data) for _, end in spans):
        raise _damaged(path, f"{len(data)} bytes of tensors, where the header describes another number")
    return {
        name: _array(entry, data[begin:end]) for (name, entry), (begin, end) in zip(header.items(), spans, strict=True)
    }


def read_safetensors_metadata(path):
    """Reads the metadata of a safetensors file.

    Args:
        path: `pathlib.Path` of the file.

    Returns:
        Dictionary from strings to strings; empty if there is none.

    Raises:
        ValueError: If the file is damaged or truncated.
    """
    metadata = _read_header(path)[0].get("__metadata__", {})
    return metadata if isinstance(metadata, dict) else {}


def _read_header(path):
    """Returns the header, a dictionary, and the position of the first tensor."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MAX_HEADER):
            raise _damaged(path, f"{size} bytes, with a header of {length} bytes")
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "the header is no JSON") from error
    if not isinstance(header, dict):
        raise _damaged(path, "the header is no dictionary")
    return header, 8 + length


def _span(path, name, entry):
    """The first byte of a tensor, and the one after its last."""
    try:
        begin, end = entry["data_offsets"]
        item_size = np.dtype(_DTYPES[entry["dtype"]]).itemsize
        sizes = [int(size) for size in entry["shape"]]
        if min([0, begin, *sizes]) < 0 or end - begin != math.prod(sizes) * item_size:
            raise ValueError("another number of bytes than its shape needs")
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"the header describes the tensor {name!r} wrongly: {str(entry)[:100]}") from error
    return begin, end


def _array(entry, data):
    array = np.frombuffer(data, _DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return array.astype("float32") if entry["dtype"].startswith(("BF", "F8")) else array


def _damaged(path, reason):
    return ValueError(
        f"The file {str(path)!r} is not a complete safetensors file ({reason}). If a download or copy was interrupted, "
        "repeat it."
    )
