"""Reading pictures with Pillow: RGB of eight bits, upright."""

import io
import pathlib

import numpy as np

from keras_deit.runtime.optional import require

ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT = 1


def read_image(source):
    """Reads a picture.

    Args:
        source: Path, or the content of a file as bytes.

    Returns:
        uint8 array `(height, width, 3)`: rotated as EXIF says, grey and CMYK as RGB, 16 bits as 8, alpha dropped, the first
        one of several frames.

    Raises:
        ValueError: If there is no such file, or it cannot be read.
        ImportError: If Pillow is missing.
    """
    images = require("PIL.Image", extra="weights", purpose="Reading a picture")
    orientation = require("PIL.ImageOps", extra="weights", purpose="Reading a picture")
    name = "in memory" if isinstance(source, bytes) else repr(str(source))
    if not isinstance(source, bytes) and not pathlib.Path(source).exists():
        raise ValueError(f"There is no picture at {name}: no such file.")
    try:
        with images.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
            return eight_bits(orientation.exif_transpose(picture))
    except Exception as error:  # Pillow's plugins raise whatever comes up on damaged files
        raise ValueError(f"The picture {name} cannot be read: {error}") from error


def eight_bits(picture):
    """RGB pixels of a Pillow image; 16 bits, which Pillow would cut off, are scaled."""
    if picture.mode.startswith("I;16"):
        grey = np.round(np.asarray(picture) / 257).astype("uint8")
        return np.repeat(grey[..., None], 3, axis=-1)
    if picture.mode in ("I", "F"):
        raise ValueError(f"its pixels are of mode {picture.mode!r} and of no known range; store it with 8 or 16 bits")
    return np.asarray(picture.convert("RGB"))


def is_upright(content):
    """Whether the content of a picture's file, bytes, needs no rotation by EXIF."""
    images = require("PIL.Image", extra="weights", purpose="Reading a picture")
    with images.open(io.BytesIO(content)) as picture:
        return picture.getexif().get(ORIENTATION, UPRIGHT) == UPRIGHT
