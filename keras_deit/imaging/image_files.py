"""Image files, read with Pillow as upright RGB images of eight bits."""

import io
import pathlib
import warnings

import numpy as np

from keras_deit.runtime.optional import require

# Extensions of the raster formats that Pillow reads by itself.
IMAGE_EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".avifs", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"),
    *(".icb", ".vda", ".vst", ".ico", ".pcx", ".psd", ".qoi", ".sgi", ".rgb", ".rgba", ".bw", ".dds", ".ras"),
)
# Formats with a signature at the beginning of the file, by which an image is recognised whatever its name.
SIGNED_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "QOI", "PSD")
ORIENTATION_TAG, UPRIGHT = 0x0112, 1  # EXIF's tag for the rotation, and its value for no rotation
_PURPOSE = "Reading an image file"


def is_image_file(path):
    """Tells whether a file is an image: by its extension, or by its content if the extension is no image format's.

    Args:
        path: `pathlib.Path` of the file.

    Returns:
        A boolean. A damaged file with the extension of an image format counts as an image.
    """
    return path.suffix.lower() in IMAGE_EXTENSIONS or _has_signature(path)


def _has_signature(path):
    pillow = require("PIL.Image", extra="weights", purpose="Recognising an image file by its content")
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of oddities that it reads all the same
            pillow.init()
            with pillow.open(file, formats=[name for name in SIGNED_FORMATS if name in pillow.OPEN]):
                return True
    except Exception:  # of other files Pillow's plugins raise errors of many kinds
        return False


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
