"""Image files whose pixels have 16 bits, of which some use fewer."""

import struct
import sys

import numpy as np

from keras_deit.choices import BIT_DEPTHS

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY_AND_ALPHA = "LA;16B"  # of PNG
ALPHA_FIRST = "ARGB"  # of eight bits
TIFF_BITS_PER_SAMPLE, TIFF_MAX_SAMPLE_VALUE = 258, 281


def scale_to_8_bits(samples, bits):
    """Scales integers of more than 8 bits to 0..255.

    Args:
        samples: Integer array.
        bits: Number of bits: `2**bits - 1` becomes 255.

    Returns:
        uint8 array.

    Raises:
        ValueError: If a sample has more bits.

    Example:

    >>> scale_to_8_bits(np.array([0, 4095]), bits=12).tolist()
    [0, 255]
    """
    largest = 2**bits - 1
    if samples.max(initial=0) > largest:
        needed = int(samples.max()).bit_length()
        raise ValueError(f"its pixels reach {samples.max()} and use {needed} bits, more than the bit depth of {bits}")
    return np.round(samples / (largest / 255)).astype("uint8")


def holds_16_bits(image):
    """Tells whether the pixels of an image file have more than 8 bits and a known range.

    Args:
        image: Pillow image, opened and not decoded yet.

    Returns:
        A boolean.
    """
    is_wide_grey = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    raw_mode = _raw_mode(image.tile[0]) if image.tile else ""
    return is_wide_grey or ";16" in raw_mode[:-1]  # `BGR;16` of a BMP are 16 bits for all three channels


def number_of_colours(image):
    """Returns the number of channels without alpha that differ, of a Pillow image that is not decoded yet: 1 or 3.

    Pillow decodes grey with alpha as RGBA.
    """
    return 1 if image.mode.startswith("I") or _raw_mode(image.tile[0]) == GREY_AND_ALPHA else 3


def _raw_mode(tile):
    """Pillow's name for the layout of the pixels in a file, such as `RGB;16B`."""
    arguments = tile[3]
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def swap_bytes(image):
    """Makes Pillow decode the low bytes of 16-bit colours, of which it otherwise decodes the high bytes.

    Of grey with alpha, only the first channel is decoded so.

    Args:
        image: Pillow image, opened and not decoded yet, which is changed.
    """
    image.tile = [_with_swapped_bytes(tile) for tile in image.tile]


def _with_swapped_bytes(tile):
    raw_mode, arguments = _raw_mode(tile), tile[3]
    if raw_mode == GREY_AND_ALPHA:  # which Pillow knows in one order only; the second of the four bytes becomes red
        swapped = ALPHA_FIRST
    else:
        order = raw_mode[-1].replace("N", sys.byteorder[0].upper())  # N: the order of this machine
        swapped = raw_mode[:-1] + {"B": "L", "L": "B"}[order]
    arguments = (swapped, *arguments[1:]) if isinstance(arguments, tuple) else swapped
    values = (*tile[:3], arguments)
    return values if type(tile) is tuple else type(tile)(*values)


def stated_bits(content, image):
    """Reads how many bits the pixels of a file of 16 bits use.

    Args:
        content: Content of the file, bytes.
        image: The Pillow image of it.

    Returns:
        Number of bits; None if the file does not state it. MaxSampleValue of a TIFF file counts only if it is the largest
        value of a number of bits: many programs write the largest value that the pixels of the file reach.

    Reference:
        PNG specification (third edition), 11.3.3.4, sBIT; TIFF 6.0, pages 29 and 36, BitsPerSample and MaxSampleValue.
    """
    if image.format == "PNG":
        return _png_significant_bits(content)
    if image.format == "TIFF":
        bits = image.tag_v2.get(TIFF_BITS_PER_SAMPLE, (16,))[0]
        largest = image.tag_v2.get(TIFF_MAX_SAMPLE_VALUE, (0,))[0]
        stated = [depth for depth in BIT_DEPTHS if largest == 2**depth - 1 or depth == bits < 16]
        return min(stated, default=None)
    return 16  # Pillow scales the pixels of the other formats


def _png_significant_bits(content):
    """Largest number of bits of a colour in the chunk `sBIT` of a PNG file, which comes before the pixels; or None."""
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[position : position + 8])
        if kind == b"sBIT":
            has_alpha = length in (2, 4)
            return min(16, max(content[position + 8 : position + 8 + length - has_alpha], default=16))
        if kind == b"IDAT":
            return None
        position += 12 + length  # length, kind and checksum have 4 bytes each
    return None


def is_scaled_up(samples, bits):
    """Tells whether samples with few significant bits were scaled to 16 bits, as PNG prescribes. Some programs do not.

    Args:
        samples: uint16 array.
        bits: Number of significant bits.

    Returns:
        A boolean.
    """
    return samples.max(initial=0) >= 2**bits or not np.any(samples % 2 ** (16 - bits)) or _is_replicated(samples, bits)


def _is_replicated(samples, bits):
    """Whether the low bits repeat the high ones, by which PNG recommends scaling up."""
    high = samples >> (16 - bits)
    return bits >= 8 and np.array_equal(samples, (high << (16 - bits)) | (high >> (2 * bits - 16)))
