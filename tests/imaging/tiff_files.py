"""Uncompressed TIFF files, written by hand: Pillow writes neither colours of 16 bits nor packed samples of 12."""

import struct

SHORT, LONG = 3, 4


def tiff(samples, order, max_sample_value=None, packed_bits=None, orientation=1):
    """Writes a TIFF file.

    Args:
        samples: uint16 array `(height, width)`, or `(height, width, channels)` of 3 or 4 channels.
        order: `"<"` or `">"`.
        max_sample_value: Value of the tag `MaxSampleValue`; None leaves it out.
        packed_bits: Number of bits of a sample in the file; None means 16.
        orientation: Value of the tag `Orientation`, as in EXIF.

    Returns:
        Content of the file, bytes.
    """
    height, width, channels = *samples.shape[:2], samples.shape[2] if samples.ndim == 3 else 1
    data = samples.astype(f"{order}u2").tobytes()
    if packed_bits:
        bits = "".join(format(sample, f"0{packed_bits}b") for sample in samples.ravel())
        data = int(bits, 2).to_bytes(len(bits) // 8, "big")
    tags = {
        256: (SHORT, [width]),
        257: (SHORT, [height]),
        258: (SHORT, [packed_bits or 16] * channels),
        259: (SHORT, [1]),  # no compression
        262: (SHORT, [1 if channels == 1 else 2]),  # black is zero; RGB
        273: (LONG, [8]),  # the pixels begin there
        274: (SHORT, [orientation]),
        277: (SHORT, [channels]),
        278: (SHORT, [height]),
        279: (LONG, [len(data)]),
    }
    if max_sample_value is not None:
        tags[281] = (SHORT, [max_sample_value] * channels)
    if channels == 4:
        tags[338] = (SHORT, [2])  # the fourth channel is alpha
    directory = 8 + len(data)
    beyond = directory + 2 + 12 * len(tags) + 4  # values of more than four bytes
    entries, values = b"", b""
    for tag, (kind, numbers) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}{'HI'[kind == LONG]}", *numbers)
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers))
        if len(packed) > 4:
            entries += struct.pack(f"{order}I", beyond + len(values))
            values += packed
        else:
            entries += packed.ljust(4, b"\0")
    header = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, directory)
    return header + data + struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0) + values
