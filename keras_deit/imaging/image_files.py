"""Image files, read with Pillow as upright RGB images of eight bits."""

import io
import pathlib

import numpy as np

from keras_deit.runtime.optional import require

IMAGE_EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
    *(".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"),
)
ORIENTATION_TAG, UPRIGHT = 0x0112, 1  # EXIF's tag for the rotation, and its value for no rotation
_PURPOSE = "Reading an image file"


def read_image(source):
    """Reads an image file.

    The image is rotated as its EXIF data says. Greyscale and CMYK become RGB, 16 bits are scaled to 8, and alpha is
    dropped. Of a file with several frames, the first is read.

    Args:
        source: Path of the file, or its content as bytes.

    Returns:
        uint8 array `(height, width, 3)`.

    Raises:
        ValueError: If the file does not exist or cannot be read.
        ImportError: If Pillow is not installed; the message names the extra.
    """
    pillow = require("PIL.Image", extra="weights", purpose=_PURPOSE)
    pillow_ops = require("PIL.ImageOps", extra="weights", purpose=_PURPOSE)
    name = "in memory" if isinstance(source, bytes) else repr(str(source))
    if not isinstance(source, bytes) and not pathlib.Path(source).exists():
        raise ValueError(f"There is no image file at {name}.")
    try:
        with pillow.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            return rgb_pixels(pillow_ops.exif_transpose(image))
    except Exception as error:  # for damaged files Pillow's plugins raise errors of many kinds
        raise ValueError(f"The image {name} cannot be read: {error}") from error


def rgb_pixels(image):
    """Converts a Pillow image to RGB pixels of eight bits.

    16-bit values are scaled, since Pillow's own conversion would clip them.

    Args:
        image: Pillow image of any mode with a known value range.

    Returns:
        uint8 array `(height, width, 3)`.

    Raises:
        ValueError: If the pixels are 32-bit integers or floats, whose range is not known.
    """
    if image.mode.startswith("I;16"):
        grey = np.round(np.asarray(image) / 257).astype("uint8")
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels are of mode {image.mode!r} and of no known range; store it with 8 or 16 bits")
    return np.asarray(image.convert("RGB"))


def is_upright(content):
    """Tells whether an image needs no rotation by its EXIF data.

    Args:
        content: Content of the image file as bytes.

    Returns:
        A boolean.
    """
    pillow = require("PIL.Image", extra="weights", purpose=_PURPOSE)
    with pillow.open(io.BytesIO(content)) as image:
        return image.getexif().get(ORIENTATION_TAG, UPRIGHT) == UPRIGHT
