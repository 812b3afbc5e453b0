"""Files of 16 bits, of which the pixels use fewer: read as the numbers say that were written."""

import io
import struct
import zlib

import numpy as np
import pytest

from keras_deit.imaging.image_files import read_image, used_bits
from tests.imaging.tiff_files import tiff

pytest.importorskip("PIL.Image", reason="Pillow reads the files")
pytestmark = pytest.mark.backend_independent

COLOUR_TYPES = {2: 0, 3: 2, 4: 6}  # of PNG, by the number of dimensions or channels
SHAPES = [(5, 7), (5, 7, 3), (5, 7, 4)]


def png(samples, significant_bits=None):
    """Writes a PNG file of 16 bits by hand: Pillow writes neither colours of 16 bits nor `sBIT`."""
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    colour_type = COLOUR_TYPES[samples.shape[2] if samples.ndim == 3 else 2]

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    stated = b"" if significant_bits is None else chunk(b"sBIT", bytes([significant_bits] * channels))
    pixels = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + stated + pixels


def samples_of(bits, shape):
    samples = np.random.default_rng(bits).integers(0, 2**bits, shape).astype("uint16")
    samples[0, 0] = 2**bits - 1
    return samples


def expected(samples, bits):
    eight_bits = np.round(samples / (2**bits - 1) * 255).astype("uint8")
    return np.repeat(eight_bits[..., None], 3, axis=-1) if eight_bits.ndim == 2 else eight_bits[..., :3]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bits", [10, 12])
def test_significant_bits_of_a_png_file_count(bits, shape):
    samples = samples_of(bits, shape)
    content = png(samples, significant_bits=bits)
    np.testing.assert_array_equal(read_image(content), expected(samples, bits))
    assert used_bits(content) is None


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bits", [10, 12])
def test_significant_bits_that_were_scaled_to_sixteen_stay_bright(bits, shape):
    """The PNG specification asks for it; the low bits repeat the high ones, also in a dark image."""
    samples = samples_of(bits, shape)
    for dark in (1, 16):
        scaled = ((samples // dark) << (16 - bits)) | ((samples // dark) >> (2 * bits - 16))
        difference = read_image(png(scaled, significant_bits=bits)).astype(int) - expected(samples // dark, bits)
        assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [10, 12])
def test_largest_value_of_a_tiff_file_counts(bits, order, shape):
    samples = samples_of(bits, shape)
    stated = tiff(samples, order, max_sample_value=2**bits - 1)
    np.testing.assert_array_equal(read_image(stated), expected(samples, bits))
    assert used_bits(stated) is None
    assert used_bits(tiff(samples, order)) == bits


def test_samples_of_twelve_bits_in_a_tiff_file_count():
    samples = samples_of(12, (4, 8))
    np.testing.assert_array_equal(read_image(tiff(samples, "<", packed_bits=12)), expected(samples, 12))


@pytest.mark.parametrize("shape", SHAPES)
def test_bit_depth_serves_files_that_do_not_state_it(shape):
    samples = samples_of(12, shape)
    for content in (png(samples), tiff(samples, "<")):
        np.testing.assert_array_equal(read_image(content, bit_depth=12), expected(samples, 12))
        assert read_image(content).max() <= 16  # without it, 4095 of 65535 is almost black
    with pytest.raises(ValueError, match="reach 4095 and use 12 bits, more than the bit depth of 10"):
        read_image(png(samples), bit_depth=10)


@pytest.mark.parametrize("shape", SHAPES)
def test_sixteen_bits_are_scaled_and_not_questioned(shape):
    samples = samples_of(16, shape)
    for content in (png(samples), png(samples, significant_bits=16), tiff(samples, "<"), tiff(samples, ">")):
        assert np.abs(read_image(content).astype(int) - expected(samples, 16)).max() <= 1
        assert used_bits(content) is None


def test_used_bits_of_files_that_do_not_state_them():
    assert used_bits(png(samples_of(10, (5, 7)))) == 10
    assert used_bits(png(samples_of(12, (5, 7, 3)))) == 12
    assert used_bits(png(np.zeros((5, 7), "uint16"))) is None  # black in every range


@pytest.mark.parametrize("largest", [1023, 4095, 65535])
def test_largest_value_of_a_portable_map_counts(largest):
    samples = np.random.default_rng(0).integers(0, largest + 1, (5, 7)).astype(">u2")
    content = io.BytesIO(b"P5 7 5 %d\n" % largest + samples.tobytes()).getvalue()
    difference = read_image(content)[..., 0].astype(int) - np.round(samples / largest * 255)
    assert np.abs(difference).max() <= 1
    assert used_bits(content) is None
