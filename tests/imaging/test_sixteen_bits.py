"""Files of 16 bits, of which the pixels use fewer: read as the numbers say that were written."""

import io
import struct

import numpy as np
import pytest

from keras_deit.imaging.image_files import open_image, read_image, used_bits
from keras_deit.imaging.sixteen_bits import holds_16_bits
from tests.imaging.png_files import png
from tests.imaging.tiff_files import tiff

pytest.importorskip("PIL.Image", reason="Pillow reads the files")
pytestmark = pytest.mark.backend_independent

SHAPES = [(5, 7), (5, 7, 3), (5, 7, 4)]
PNG_SHAPES = [*SHAPES, (5, 7, 2)]  # Pillow reads no TIFF file of grey and alpha


def samples_of(bits, shape):
    samples = np.random.default_rng(bits).integers(0, 2**bits, shape).astype("uint16")
    samples[0, 0] = 2**bits - 1
    return samples


def expected(samples, bits):
    eight_bits = np.round(samples / (2**bits - 1) * 255).astype("uint8")
    if samples.ndim == 2 or samples.shape[2] == 2:
        return np.repeat(eight_bits.reshape(*samples.shape[:2], -1)[..., :1], 3, axis=-1)
    return eight_bits[..., :3]


@pytest.mark.parametrize("shape", PNG_SHAPES)
@pytest.mark.parametrize("bits", [10, 12])
def test_significant_bits_of_a_png_file_count(bits, shape):
    samples = samples_of(bits, shape)
    content = png(samples, significant_bits=bits)
    np.testing.assert_array_equal(read_image(content), expected(samples, bits))
    assert used_bits(content) is None


@pytest.mark.parametrize("shape", PNG_SHAPES)
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


@pytest.mark.parametrize("shape", PNG_SHAPES)
def test_bit_depth_serves_files_that_do_not_state_it(shape):
    samples = samples_of(12, shape)
    for content in (png(samples), *([tiff(samples, "<")] if shape in SHAPES else [])):
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


@pytest.mark.parametrize("channels", [2, 4])
def test_opaque_alpha_says_nothing_about_the_bits_of_the_colours(channels):
    samples = samples_of(12, (5, 7, channels))
    samples[..., -1] = 65535
    assert used_bits(png(samples)) == 12
    for content in (png(samples, significant_bits=12), png(samples)):
        np.testing.assert_array_equal(read_image(content, bit_depth=12), expected(samples, 12))


@pytest.mark.parametrize("largest", [100, 900, 3210])
def test_largest_value_that_the_pixels_reach_says_nothing_about_their_bits(largest):
    """Frames of one series would otherwise be scaled differently."""
    samples = (samples_of(12, (5, 7)) * (largest / 4095)).astype("uint16")
    stated = tiff(samples, "<", max_sample_value=largest)
    np.testing.assert_array_equal(read_image(stated, bit_depth=12), expected(samples, 12))
    np.testing.assert_array_equal(read_image(stated), expected(samples, 16))
    assert used_bits(stated) == int(samples.max()).bit_length()


def test_a_bitmap_of_sixteen_bits_a_pixel_has_eight_bits_a_channel():
    pixels = np.random.default_rng(0).integers(0, 32, (4, 6), dtype="<u2") * (1 + 2**6 + 2**11)  # 5-6-5: grey, about
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    header = struct.pack("<IiiHHIIiiII", 40, 6, 4, 1, 16, 3, pixels.nbytes, 0, 0, 0, 0) + masks
    offset = 14 + len(header)
    content = b"BM" + struct.pack("<IHHI", offset + pixels.nbytes, 0, 0, offset) + header + pixels[::-1].tobytes()
    with open_image(content) as image:
        assert not holds_16_bits(image)
    red = np.round((pixels >> 11) / 31 * 255)
    assert np.abs(read_image(content)[..., 0] - red).max() <= 1
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
