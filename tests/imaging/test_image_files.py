"""Images of any kind: read from files, from Pillow and from arrays."""

import io
import pathlib
import re

import numpy as np
import pytest

from keras_deit.imaging.image_files import (
    MAX_PIXELS_VARIABLE,
    as_rgb,
    as_rgb_image,
    is_image_file,
    is_upright,
    read_image,
    read_pillow_image,
    to_uint8,
)
from tests.data.images import encode, noise
from tests.imaging.tiff_files import tiff

pillow = pytest.importorskip("PIL.Image", reason="Pillow reads the files")
pytestmark = pytest.mark.backend_independent

RGB = noise(6, 8, 3)
GREY = noise(6, 8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_pillow_images_of_any_mode_are_converted_as_pillow_converts_them(mode):
    image = pillow.fromarray(RGB).convert(mode)
    np.testing.assert_array_equal(as_rgb(image), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["path", "string", "bytes", "row of bytes", "row of a path"])
def test_files_are_read_from_their_path_or_content(kind, tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(encode(RGB))
    source = {
        "path": path,
        "string": str(path),
        "bytes": path.read_bytes(),
        "row of bytes": {"bytes": path.read_bytes(), "path": None},
        "row of a path": {"bytes": None, "path": str(path)},
    }[kind]
    np.testing.assert_array_equal(as_rgb(source), RGB)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pillow_images_of_files_have_the_pixels_of_pillow_after_the_file_is_closed(file_format, mode):
    content = encode(pillow.fromarray(RGB).convert(mode), file_format)
    image = read_pillow_image(content)
    expected = pillow.open(io.BytesIO(content)).convert("RGB")
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image.crop((1, 2, 5, 4))), np.asarray(expected)[2:4, 1:5])


def test_pillow_images_of_files_are_rotated_and_scaled_to_eight_bits():
    tags = pillow.Exif()
    tags[0x0112] = 6
    content = encode(pillow.fromarray(RGB), exif=tags)
    np.testing.assert_array_equal(np.asarray(read_pillow_image(content)), np.rot90(RGB, -1))
    samples = GREY.astype("uint16") * 16
    twelve_bits = encode(pillow.fromarray(samples))
    scaled = np.round(samples / 4095 * 255).astype("uint8")
    np.testing.assert_array_equal(np.asarray(read_pillow_image(twelve_bits, bit_depth=12))[..., 0], scaled)
    with pytest.raises(ValueError, match="The image in memory cannot be read: cannot identify image file"):
        read_pillow_image(b"no image")


@pytest.mark.parametrize("dtype", ["uint8", "float32", "int64"])
def test_channels_of_arrays_become_three_and_the_dtype_stays(dtype):
    grey, rgb = GREY.astype(dtype), RGB.astype(dtype)
    three = np.stack([grey] * 3, axis=-1)
    alpha = np.full((6, 8, 1), 9, dtype)
    for image, expected in [
        (grey, three),
        (grey[..., None], three),
        (np.concatenate([grey[..., None], alpha], axis=-1), three),
        (rgb, rgb),
        (np.concatenate([rgb, alpha], axis=-1), rgb),
        (np.stack([grey[..., None]] * 2), np.stack([three] * 2)),
    ]:
        received = as_rgb(image)
        np.testing.assert_array_equal(received, expected)
        assert received.dtype == dtype


def test_arrays_of_sixteen_bits_are_scaled():
    sixteen = (GREY.astype("uint16") * 257)[..., None]
    received = as_rgb(sixteen)
    assert received.dtype == np.uint8
    np.testing.assert_array_equal(received, np.stack([GREY] * 3, axis=-1))
    with pytest.warns(
        UserWarning, match="these reach 4080 and come out almost black. If they use 12 bits only, multiply"
    ):
        as_rgb(np.array([[0, 4080]], "uint16"))


def test_pixels_are_rounded_to_uint8():
    assert to_uint8(np.array([-3.0, 0.4, 0.6, 254.7, 300.0])).tolist() == [0, 0, 1, 255, 255]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_unknown_range_are_refused_with_the_reason(mode):
    image = pillow.fromarray(GREY.astype("int32" if mode == "I" else "float32"))
    content = encode(image, "TIFF")
    for source in (image, content):
        with pytest.raises(
            ValueError, match=f"pixels are of mode '{mode}' and of no known range; store it with 8 or 16 bits"
        ):
            as_rgb(source)


def test_images_beyond_the_limit_of_pillow_are_refused_with_the_way_out(monkeypatch):
    content = encode(noise(30, 40, 3))
    monkeypatch.setattr(pillow, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(ValueError, match=rf"1200 pixels.* exceeds limit of 1000 pixels.*{MAX_PIXELS_VARIABLE}"):
        read_image(content)
    monkeypatch.setenv(MAX_PIXELS_VARIABLE, "600")
    assert read_image(content).shape == (30, 40, 3)


def test_the_limit_holds_wherever_an_image_is_opened_first(tmp_path, monkeypatch):
    content, path = encode(noise(30, 40, 3), "JPEG"), tmp_path / "photo"
    path.write_bytes(content)
    monkeypatch.setattr(pillow, "MAX_IMAGE_PIXELS", 500)
    assert is_image_file(path)  # and reading it names the limit
    with pytest.raises(ValueError, match=f"1200 pixels.*{MAX_PIXELS_VARIABLE}"):
        is_upright(content)
    monkeypatch.setenv(MAX_PIXELS_VARIABLE, "600")
    assert is_upright(content)
    monkeypatch.setattr(pillow, "MAX_IMAGE_PIXELS", 500)
    assert is_image_file(path)


@pytest.mark.parametrize("limit", ["2e9", "", "0", "-5", "none"])
def test_a_limit_that_is_no_number_of_pixels_is_named(limit, monkeypatch):
    monkeypatch.setattr(pillow, "MAX_IMAGE_PIXELS", pillow.MAX_IMAGE_PIXELS)
    monkeypatch.setenv(MAX_PIXELS_VARIABLE, limit)
    with pytest.raises(ValueError, match=f"variable {MAX_PIXELS_VARIABLE} must be a whole number.*Received: '{limit}'"):
        read_image(encode(noise(3, 4, 3)))


def test_a_file_whose_name_is_not_utf_8_is_read_and_named(tmp_path):
    path = pathlib.Path(str(tmp_path), b"caf\xe9.png".decode("utf-8", "surrogateescape"))
    try:
        path.write_bytes(encode(RGB))
    except OSError:
        pytest.skip("the file system takes UTF-8 alone")
    np.testing.assert_array_equal(read_image(path), RGB)
    path.write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"caf\\udce9\.png.* cannot be read"):
        read_image(path)


def test_first_frame_and_orientation_of_sixteen_bits():
    """A TIFF file that lies on its side by its tag is turned, also when its low bytes are needed."""
    samples = np.arange(24, dtype="uint16").reshape(2, 4, 3) * 170
    turned = np.rot90(samples, -1)  # orientation 6: turn clockwise
    content = tiff(samples, "<", max_sample_value=4095, orientation=6)
    np.testing.assert_array_equal(read_image(content), np.round(turned / 4095 * 255).astype("uint8"))
    frames = io.BytesIO()
    pillow.fromarray(RGB).save(frames, "PNG", save_all=True, append_images=[pillow.fromarray(RGB // 2)])
    np.testing.assert_array_equal(read_image(frames.getvalue()), RGB)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8"])
def test_arrays_of_the_other_byte_order_have_the_same_pixels(dtype):
    scale = 257 if dtype == "u2" else 1
    pixels = np.arange(0, 240, 5).reshape(4, 4, 3)
    read = as_rgb((pixels * scale).astype(np.dtype(dtype).newbyteorder("S")))
    assert read.dtype.isnative
    np.testing.assert_array_equal(to_uint8(read), pixels)


EXIF_HEAD = b"II*\x00\x08\x00\x00\x00"


def jpeg_with_exif(payload):
    """A JPEG file of RGB, and the same file with an EXIF segment that holds `payload`."""
    content = encode(RGB, "JPEG", quality=95)
    segment = b"Exif\x00\x00" + payload
    return content, content[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + content[2:]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"Exif\x00\x00" + EXIF_HEAD,
        bytes(range(64)),
        b"II*\x00\xff\xff\x00\x00",
        EXIF_HEAD + b"\x01\x00\x12\x01\x02\x00\x04\x00\x00\x00abc\x00\x00\x00\x00\x00",  # text as orientation
    ],
    ids=["empty", "twice", "garbage", "beyond the end", "text"],
)
def test_damaged_exif_data_do_not_make_an_image_unreadable(payload):
    sound, damaged = jpeg_with_exif(payload)
    np.testing.assert_array_equal(read_image(damaged), read_image(sound))
    assert is_upright(damaged)


@pytest.mark.parametrize(("file_format", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_damaged_exif_data_of_other_formats(file_format, options):
    content = encode(RGB, file_format, exif=b"\x00\x08\x00\x02\x01\x12\x00\x03", **options)
    np.testing.assert_array_equal(read_image(content), RGB)
    assert is_upright(content)


def test_the_orientation_counts_although_another_entry_is_wrong():
    maker = b"\x0f\x01\x05\x00\x01\x00\x00\x00\x26\x00\x00\x00"  # a rational number where text belongs
    turned = b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"
    sound, content = jpeg_with_exif(EXIF_HEAD + b"\x02\x00" + maker + turned + b"\x00" * 4 + b"\x01\x00\x00\x00" * 2)
    np.testing.assert_array_equal(read_image(content), np.rot90(read_image(sound), -1))


@pytest.mark.parametrize("orientation", range(1, 10))
def test_a_pillow_image_of_a_file_is_rotated_as_the_file(orientation):
    operations = pytest.importorskip("PIL.ImageOps", reason="Pillow rotates")
    exif = pillow.Exif()
    exif[0x0112] = orientation
    content = encode(RGB, exif=exif.tobytes())
    opened = pillow.open(io.BytesIO(content))
    upright = operations.exif_transpose(opened)
    for image in (opened, content, upright, opened.convert("RGBA")):
        np.testing.assert_array_equal(as_rgb(image), np.asarray(upright))


@pytest.mark.parametrize("kind", ["BytesIO at its end", "open file", "bytearray", "memoryview"])
def test_open_files_and_content_of_any_kind_are_read(kind, tmp_path):
    content = encode(RGB)
    (tmp_path / "image.png").write_bytes(content)
    at_its_end = io.BytesIO()
    at_its_end.write(content)
    with (tmp_path / "image.png").open("rb") as file:
        source = {
            "BytesIO at its end": at_its_end,
            "open file": file,
            "bytearray": bytearray(content),
            "memoryview": memoryview(content),
        }[kind]
        np.testing.assert_array_equal(as_rgb(source), RGB)


@pytest.mark.parametrize("other", [None, 3, {"image": 1}, [[1, 2], [3, 4]]])
def test_what_is_no_image_is_named(other):
    with pytest.raises(ValueError, match=f"An image must be a path.*of type {type(other).__name__}"):
        as_rgb(other)


@pytest.mark.parametrize("shape", [(3, 8, 9), (8, 9, 5), (2, 8, 9, 3)])
def test_a_single_image_has_height_width_and_channels(shape):
    with pytest.raises(ValueError, match=re.escape(f"Received: shape={shape}")):
        as_rgb_image(noise(*shape))
