"""PNG files of 16 bits, written by hand: Pillow writes neither colours of 16 bits nor `sBIT`."""

import struct
import zlib

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # of PNG, by the number of channels


def png(samples, significant_bits=None):
    """Writes a PNG file.

    Args:
        samples: uint16 array `(height, width)`, or `(height, width, channels)` of 1 to 4 channels.
        significant_bits: Value of the chunk `sBIT` for each channel; None leaves it out.

    Returns:
        Content of the file, bytes.
    """
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 16, COLOUR_TYPES[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    stated = b"" if significant_bits is None else chunk(b"sBIT", bytes([significant_bits] * channels))
    pixels = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + stated + pixels


def chunk(kind, data):
    """Encodes a chunk of a PNG file, bytes of a name and of the data."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
