"""Image files for exports that read them: every kind of JPEG and PNG, rotated, damaged or of another format."""

import io
import struct
import zlib

import numpy as np
import pytest

from tests.imaging.png_files import chunk, png


def photograph():
    """A photograph of scikit-learn as a Pillow image, 60×91 pixels."""
    pillow = pytest.importorskip("PIL.Image", reason="Pillow writes the image files and reads the reference")
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn contains the photograph")
    return pillow.fromarray(datasets.load_sample_images().images[0]).resize((91, 60))


def encoded(image, file_format, orientation=None, **options):
    """Encodes a Pillow image as the content of a file, with an orientation of EXIF or without."""
    if orientation is not None:
        options["exif"] = image.getexif()
        options["exif"][0x010F] = "the name of a camera"
        options["exif"][0x0112] = orientation
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def with_segment(jpeg, payload):
    """Inserts a segment APP1 at the beginning of a JPEG file."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


def tiff(orientation, order="<", kind=3):
    """EXIF data: a TIFF file whose directory has only an orientation, of type 3 (two bytes) or 4 (four bytes)."""
    value = struct.pack(f"{order}{'I' if kind == 4 else 'Hxx'}", orientation)
    directory = struct.pack(f"{order}HHHI", 1, 0x0112, kind, 1) + value + bytes(4)
    return {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8) + directory


def xmp(orientation, template='tiff:Orientation="{}"'):
    """XMP data that state an orientation."""
    return f"<x:xmpmeta><rdf:Description {template.format(orientation)}/></x:xmpmeta>".encode()


def readable():
    """Returns a dictionary of files by names, which an export reads as Pillow does."""
    image = photograph()
    jpeg, plain_png = encoded(image, "JPEG"), encoded(image, "PNG")
    files = {f"jpeg_{mode}": encoded(image.convert(mode), "JPEG") for mode in ("RGB", "L", "CMYK")}
    files |= {f"png_{mode}": encoded(image.convert(mode), "PNG") for mode in ("RGB", "L", "LA", "P", "1", "RGBA")}
    files |= {f"jpeg_orientation_{value}": encoded(image, "JPEG", value) for value in range(10)}
    files |= {f"png_orientation_{value}": encoded(image, "PNG", value) for value in (1, 6)}
    xmp_of_jpeg = b"http://ns.adobe.com/xap/1.0/\0"
    in_png = chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + xmp(6))
    noise = np.random.default_rng(0).integers(0, 2**16, (8, 9, 4)).astype("uint16")
    return files | {
        "jpeg_progressive": encoded(image, "JPEG", progressive=True, subsampling=0),
        "jpeg_big_endian": with_segment(jpeg, b"Exif\0\0" + tiff(6, ">")),
        "jpeg_four_bytes": with_segment(jpeg, b"Exif\0\0" + tiff(6, ">", kind=4)),
        "jpeg_damaged_exif": with_segment(jpeg, b"Exif\0\0" + tiff(6)[:14]),
        "jpeg_exif_behind_the_end": with_segment(jpeg, b"Exif\0\0II*\0\xff\xff\xff\xf0" + tiff(6)[8:]),
        "jpeg_xmp": with_segment(jpeg, xmp_of_jpeg + xmp(6)),
        "jpeg_xmp_element": with_segment(jpeg, xmp_of_jpeg + xmp(8, "><tiff:Orientation>{}</tiff:Orientation><a")),
        "jpeg_orientation_in_other_metadata": with_segment(jpeg, b"Photoshop 3.0\0" + xmp(6)),
        "jpeg_exif_and_xmp": with_segment(encoded(image, "JPEG", 1), xmp_of_jpeg + xmp(6)),
        "jpeg_exif_of_a_second_image": encoded(image, "JPEG") + encoded(image, "JPEG", 6),
        "jpeg_filling": jpeg[:2] + b"\xff\xff" + encoded(image, "JPEG", 6)[2:],
        "png_exif_at_the_end": plain_png[:-12] + chunk(b"eXIf", tiff(8)) + plain_png[-12:],
        "png_xmp": plain_png[:33] + in_png + plain_png[33:],
        "png_16_bits_grey": png(noise[..., 0]),
        **{f"png_16_bits_{channels}_channels": png(noise[..., :channels]) for channels in (2, 3, 4)},
    }


def unreadable():
    """Returns a dictionary of files by names, each with words of the error that reading it in an export raises."""
    image = photograph()
    jpeg, plain_png = encoded(image, "JPEG"), encoded(image, "PNG")
    cmyk = encoded(image.convert("CMYK"), "JPEG")
    adobe = cmyk.index(b"\xff\xee\0\x0eAdobe")
    bomb = plain_png[:16] + struct.pack(">II", 2**16, 2**16) + plain_png[24:]
    profile = chunk(
        b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n      38\n" + tiff(6).hex().encode())
    )
    compressed = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp(6)))
    no_image = "content of a JPEG or PNG file"
    return {
        "empty": (b"", no_image),
        "text": (b"cat.jpg", no_image),
        "gif": (encoded(image, "GIF"), no_image),
        "webp": (encoded(image, "WEBP"), no_image),
        "jpeg_cut_off": (jpeg[: len(jpeg) // 2], "Invalid JPEG data"),
        "jpeg_of_three_bytes": (jpeg[:3], "Invalid JPEG data"),
        "jpeg_cmyk_not_of_adobe": (cmyk[:adobe] + cmyk[adobe + 16 :], "without the segment of Adobe"),
        "png_cut_off": (plain_png[: len(plain_png) // 2], "Invalid PNG data"),
        "png_signature": (plain_png[:8], "Invalid PNG"),
        "png_bomb": (bomb, "at most 178,956,970 pixels"),
        "png_significant_bits": (png(np.full((4, 4), 4095, "uint16"), significant_bits=12), "significant bits"),
        "png_compressed_exif": (plain_png[:33] + profile + plain_png[33:], "compressed EXIF or XMP"),
        "png_compressed_xmp": (plain_png[:33] + compressed + plain_png[33:], "compressed EXIF or XMP"),
    }
