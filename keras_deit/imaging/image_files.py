"""Images in files and in memory, read as upright RGB pixels."""

import io
import os
import pathlib
import warnings

import keras
import numpy as np

from keras_deit.imaging.sixteen_bits import (
    holds_16_bits,
    is_scaled_up,
    number_of_colours,
    scale_to_8_bits,
    stated_bits,
    swap_bytes,
)
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.files import user_path
from keras_deit.runtime.optional import require
from keras_deit.runtime.similar_names import did_you_mean, similar_paths

# Extensions of the raster formats that Pillow reads by itself.
IMAGE_EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".avifs", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"),
    *(".icb", ".vda", ".vst", ".ico", ".pcx", ".psd", ".qoi", ".sgi", ".rgb", ".rgba", ".bw", ".dds", ".ras"),
)
# Formats with a signature at the beginning of the file, by which an image is recognised whatever its name.
SIGNED_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM", "QOI", "PSD")
ORIENTATION_TAG, UPRIGHT = 0x0112, 1  # EXIF's tag for the rotation, and its value for no rotation
# The other values, and the methods of Pillow that turn the image upright.
TRANSPOSED_BY = dict(
    enumerate(
        ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90"), 2
    )
)
MAX_PIXELS_VARIABLE = "KERAS_DEIT_MAX_IMAGE_PIXELS"  # of the environment, so that worker processes obey it too
MOST_UNUSED = 2  # bits: pixels of 16 bits that leave more of them unused come out almost black
UNKNOWN_FORMAT = "cannot identify image file: it is of no image format that Pillow knows, or damaged"
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
            _obey_limit(pillow)
            with pillow.open(file, formats=[name for name in SIGNED_FORMATS if name in pillow.OPEN]):
                return True
    except pillow.DecompressionBombError:  # an image that is too large is one
        return True
    except Exception:  # of other files Pillow's plugins raise errors of many kinds
        return False


def read_image(source, bit_depth=None):
    """Reads an image file.

    The image is rotated as its EXIF data says. Greyscale and CMYK become RGB, and alpha is dropped. More than 8 bits are
    scaled to 8 by the range that the file states (`sBIT` of PNG, `BitsPerSample` or `MaxSampleValue` of TIFF, the largest
    value of PGM), otherwise by `bit_depth`. Of a file with several frames, the first is read.

    Args:
        source: Path of the file, or its content as bytes.
        bit_depth: Number of bits that the pixels use in files of 16 bits that do not state it; None means 16.

    Returns:
        uint8 array `(height, width, 3)`.

    Raises:
        ValueError: If the file does not exist or cannot be read, or its pixels use more than `bit_depth` bits.
        ImportError: If Pillow is not installed; the message names the extra.
    """
    return _read(source, _decoded, bit_depth)


def read_pillow_image(content, bit_depth=None):
    """Reads an image file as `read_image` does, without copying the pixels into an array.

    Args:
        content: Content of the file as bytes.
        bit_depth: See `read_image`.

    Returns:
        Pillow image of mode `"RGB"`, upright.

    Raises:
        ValueError: If the file cannot be read, or its pixels use more than `bit_depth` bits.
        ImportError: If Pillow is not installed; the message names the extra.

    Example:

    >>> read_pillow_image(png_file(np.full((1, 2, 3), 7, "uint8"))).size
    (2, 1)
    """
    return _read(content, _decoded_by_pillow, bit_depth)


def _read(source, decode, bit_depth):
    require("PIL.Image", extra="weights", purpose=_PURPOSE)
    name = "in memory" if isinstance(source, bytes) else repr(str(source))
    if not isinstance(source, bytes) and not user_path(source).exists():
        raise ValueError(f"There is no image file at {name}.{did_you_mean(similar_paths(source))}")
    try:
        content = source if isinstance(source, bytes) else user_path(source).read_bytes()
        with open_image(content) as image:
            return decode(content, image, bit_depth)
    except Exception as error:  # for damaged files Pillow's plugins raise errors of many kinds
        raise ValueError(f"The image {name} cannot be read: {error}") from error


def open_image(content):
    """Opens the content of an image file with Pillow, and explains Pillow's limit of pixels.

    Args:
        content: Content of an image file, bytes.

    Returns:
        Pillow image, whose pixels are not decoded yet.

    Raises:
        ValueError: If the image has more pixels than Pillow allows, or the variable of the limit is no whole number.
        PIL.UnidentifiedImageError: If the format is not known.
    """
    pillow = require("PIL.Image", extra="weights", purpose=_PURPOSE)
    _obey_limit(pillow)
    try:
        return pillow.open(io.BytesIO(content))
    except pillow.UnidentifiedImageError as error:
        raise pillow.UnidentifiedImageError(UNKNOWN_FORMAT) from error
    except pillow.DecompressionBombError as error:
        raise ValueError(
            f"{error} Make the image smaller, or, if you trust the file, set the environment variable "
            f"{MAX_PIXELS_VARIABLE} to at least half its number of pixels."
        ) from error


def png_file(pixels):
    """Encodes pixels as the content of a PNG file, which loses nothing.

    Args:
        pixels: uint8 array `(height, width, 3)`.

    Returns:
        Bytes.

    Example:

    >>> read_image(png_file(np.full((1, 1, 3), 7, "uint8"))).tolist()
    [[[7, 7, 7]]]
    """
    file = io.BytesIO()
    require("PIL.Image", extra="weights", purpose=_PURPOSE).fromarray(pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()


def reading_environment():
    """Returns what decides which image files can be read besides their content: the limit of pixels, Pillow's version."""
    pillow = require("PIL", extra="weights", purpose=_PURPOSE)
    return os.environ.get(MAX_PIXELS_VARIABLE), pillow.__version__


def _obey_limit(pillow):
    """Sets the limit of pixels of the environment, if there is one."""
    limit = os.environ.get(MAX_PIXELS_VARIABLE)
    if limit is None:
        return
    if not limit.isdecimal() or int(limit) == 0:
        raise ValueError(
            f"The environment variable {MAX_PIXELS_VARIABLE} must be a whole number of pixels, such as 2000000000. "
            f"Received: {limit!r}"
        )
    pillow.MAX_IMAGE_PIXELS = int(limit)


def rgb_pixels(image, bit_depth=None):
    """Converts a Pillow image to RGB pixels of eight bits.

    16-bit values are scaled, since Pillow's own conversion would clip them.

    Args:
        image: Pillow image of any mode with a known value range.
        bit_depth: Number of bits that 16-bit pixels use; None means 16.

    Returns:
        uint8 array `(height, width, 3)`.

    Raises:
        ValueError: If the pixels are 32-bit integers or floats, whose range is not known, or use more than `bit_depth` bits.
    """
    if image.mode.startswith("I;16"):
        return with_three_channels(scale_to_8_bits(np.asarray(image), bit_depth or 16))
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels are of mode {image.mode!r} and of no known range; store it with 8 or 16 bits")
    return np.asarray(image.convert("RGB"))


def as_rgb(image, bit_depth=None):
    """Converts an image of any kind to pixels with three channels.

    Args:
        image: Path or content of an image file, or an open file of bytes; a Pillow image, which is rotated as its EXIF data
            says; the dictionary of `bytes` and `path` by which Hugging Face's
            `datasets` describe an image file; or an array or tensor `(height, width)` or `(..., height, width, channels)`
            of 1 channel (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha). Alpha is dropped.
        bit_depth: Number of bits that 16-bit pixels use; None means 16.

    Returns:
        Array or tensor `(..., height, width, 3)`. 16-bit arrays are scaled to uint8; other arrays keep their dtype.

    Raises:
        ValueError: If a file cannot be read, or 16-bit pixels use more than `bit_depth` bits.

    Example:

    >>> as_rgb(np.array([[0, 65535]], "uint16"))[0].tolist()
    [[0, 0, 0], [255, 255, 255]]
    """
    if isinstance(image, dict) and "bytes" in image:
        image = image["bytes"] or image["path"]
    if hasattr(image, "read"):
        image = _content_of(image)
    if isinstance(image, (bytearray, memoryview)):
        image = bytes(image)
    if isinstance(image, (str, pathlib.Path, bytes)):
        return read_image(image, bit_depth)
    if hasattr(image, "convert"):  # a Pillow image
        return rgb_pixels(_upright(image), bit_depth)
    if not hasattr(image, "shape"):
        raise ValueError(
            "An image must be a path, the content of an image file, a Pillow image, or an array or tensor of pixels. "
            f"Received: {str(image)[:100]!r} of type {type(image).__name__}"
        )
    if isinstance(image, np.ndarray):
        image = image.astype(image.dtype.newbyteorder("="), copy=False)
    if isinstance(image, np.ndarray) and image.dtype == np.uint16:
        if bit_depth is None:
            _question_unused_bits(image)
        image = scale_to_8_bits(image, bit_depth or 16)
    return with_three_channels(image)


def as_rgb_image(image, bit_depth=None):
    """Converts a single image as `as_rgb` does.

    Args:
        image, bit_depth: See `as_rgb`.

    Returns:
        Array or tensor `(height, width, 3)`.

    Raises:
        ValueError: If the image has another shape, for example channels first, or `as_rgb` raises an error.

    Example:

    >>> as_rgb_image(np.zeros((4, 5), "uint8")).shape
    (4, 5, 3)
    """
    pixels = as_rgb(image, bit_depth)
    if len(pixels.shape) != 3 or pixels.shape[-1] != 3:
        raise ValueError(
            "an image must have the shape (height, width) or (height, width, channels), with 1 to 4 channels. Received: "
            f"shape={tuple(pixels.shape)}"
        )
    return pixels


def to_uint8(pixels):
    """Rounds pixels in 0..255 of any dtype to uint8, an array; uint8 pixels stay as they are.

    Example:

    >>> to_uint8(np.array([-3.0, 254.7])).tolist()
    [0, 255]
    """
    if pixels.dtype == np.uint8:
        return pixels
    return np.clip(np.round(pixels), 0, 255).astype("uint8")


def with_three_channels(pixels):
    """Repeats the channel of greyscale pixels and drops alpha, see `as_rgb`; pixels of other shapes stay as they are."""
    if len(pixels.shape) == 2:
        pixels = pixels[..., None]
    if len(pixels.shape) not in (3, 4) or pixels.shape[-1] not in (1, 2, 4):
        return pixels
    if pixels.shape[-1] == 4:
        return pixels[..., :3]
    concatenate = np.concatenate if isinstance(pixels, np.ndarray) else keras.ops.concatenate
    return concatenate([pixels[..., :1]] * 3, axis=-1)


def used_bits(content):
    """Tells how many bits the pixels of an image file use, if they hold 16 and use the lowest ones only.

    Args:
        content: Content of an image file, bytes.

    Returns:
        Number of bits, at least 1 and below 16 - `MOST_UNUSED`; None for other files and for those that state their bits.
    """
    with open_image(content) as image:
        if not holds_16_bits(image) or stated_bits(content, image) is not None:
            return None
        is_grey = image.mode.startswith("I")
        largest = int(np.asarray(image)[..., : None if is_grey else 3].max(initial=0))
    bits = largest.bit_length() + (0 if is_grey or not largest else 8)  # of colours, Pillow decodes the high byte
    return bits if 0 < bits < 16 - MOST_UNUSED else None


def is_upright(content):
    """Tells whether an image needs no rotation by its EXIF data or, without EXIF, its XMP data.

    Args:
        content: Content of the image file as bytes.

    Returns:
        A boolean.
    """
    with open_image(content) as image:
        return _orientation(image) not in TRANSPOSED_BY


def _decoded(content, image, bit_depth):
    if not holds_16_bits(image):
        return rgb_pixels(_upright(image))
    stated, is_grey, colours = stated_bits(content, image), image.mode.startswith("I"), number_of_colours(image)
    bits = stated or bit_depth or 16
    if bits == 16 and not is_grey:
        return rgb_pixels(_upright(image))
    samples = np.asarray(_upright(image)).astype("uint16")
    if not is_grey:  # of colours, Pillow decodes the high bytes alone
        with open_image(content) as low_bytes:
            swap_bytes(low_bytes)
            samples = samples[..., :colours] * 256 + np.asarray(_upright(low_bytes))[..., :colours]
    if stated and is_scaled_up(samples, stated):
        bits = 16
    return with_three_channels(scale_to_8_bits(samples, bits))


def _decoded_by_pillow(content, image, bit_depth):
    if image.mode == "RGB" and not holds_16_bits(image):
        return _upright(image)
    pillow = require("PIL.Image", extra="weights", purpose=_PURPOSE)
    return pillow.fromarray(_decoded(content, image, bit_depth))


def _question_unused_bits(samples):
    bits = int(samples.max(initial=0)).bit_length()
    if 0 < bits < 16 - MOST_UNUSED:
        warn_caller(
            f"uint16 images are scaled from 0..65535 to 0..255, but these reach {samples.max()} and come out almost black. "
            f"If they use {bits} bits only, multiply them by {2 ** (16 - bits)}."
        )


def _content_of(file):
    """The whole content of an open file, wherever it was read up to."""
    if file.seekable():
        file.seek(0)
    return file.read()


def _orientation(image):
    """EXIF's value for the rotation of a Pillow image; no rotation if the EXIF data are damaged, as in other programs."""
    try:
        return image.getexif().get(ORIENTATION_TAG, UPRIGHT)
    except Exception:  # of damaged data Pillow raises errors of many kinds
        return UPRIGHT


def _upright(image):
    pillow = require("PIL.Image", extra="weights", purpose=_PURPOSE)
    image.load()  # which turns a TIFF image upright, and reads EXIF data that stand behind the pixels
    method = TRANSPOSED_BY.get(_orientation(image))
    return image if method is None else image.transpose(pillow.Transpose[method])
