"""Image files read within a graph of TensorFlow, to the pixels that `keras_deit.imaging.image_files` reads with Pillow."""

from keras_deit.imaging.image_files import ORIENTATION_TAG
from keras_deit.imaging.sixteen_bits import PNG_SIGNATURE

LARGEST = 178_956_970  # pixels: the limit of Pillow, so that a small file cannot fill the memory
BEGIN_OF_SCAN = 0xDA  # marker of a JPEG: the segments of metadata stand before it
MOST_SEGMENTS = 4096
CMYK = 4  # channels of a JPEG
GREY = 0  # colour type of a PNG
NO_ORIENTATION = -1
UNSIGNED_SHORT, UNSIGNED_LONG = 3, 4  # types of a value in a TIFF directory
ENTRY = 12  # bytes of an entry of a TIFF directory
# Regular expressions of RE2, in which \C is any byte. EXIF data are a TIFF file behind these names in a PNG or JPEG.
EXIF = r"(?:eXIf|Exif\x00\x00)(?:Exif\x00\x00)*(II\*\x00|MM\x00\*)"
XMP = r"(?:http://ns\.adobe\.com/xap/1\.0/|XML:com\.adobe\.xmp)\x00\C*?tiff:Orientation(?:=\"|>)([0-9])"
ADOBE = r"\x00\x0eAdobe"  # without this segment, TensorFlow inverts the values of CMYK, and Pillow does not
COMPRESSED_METADATA = r"(?:tEXt|zTXt|iTXt)Raw profile type exif\x00|iTXtXML:com\.adobe\.xmp\x00\x01"
SIGNIFICANT_BITS = r"\x00\x00\x00[\x01-\x04]sBIT"


def decode_image(content, bit_depth=None):
    """Reads a JPEG or PNG file: upright RGB pixels, the same as `keras_deit.imaging.image_files.read_image`.

    Args:
        content: String tensor of rank 0, the content of the file.
        bit_depth: Number of bits that the pixels of PNG files of 16 bits use; None means 16.

    Returns:
        uint8 tensor `(height, width, 3)`. Running it raises `tf.errors.InvalidArgumentError` if the file is of another
        format, damaged or larger than `LARGEST` pixels, or one of those that TensorFlow's operations cannot read as
        Pillow does: PNG files with 16 bits of which fewer are significant (`sBIT`) or with compressed EXIF or XMP data, and
        JPEG files in CMYK that are not of Adobe's kind.

    Example:

    ```python
    pixels = decode_image(tf.io.read_file("cat.jpg"))
    ```

    Reference:
        JIS/CIPA DC-008, Exif 2.32, section 4.6.4 (Orientation); PNG specification (third edition), 11.3.3.4 (sBIT) and
        11.3.4.2 (eXIf).
    """
    import tensorflow as tf

    is_jpeg = tf.io.is_jpeg(content)
    is_png = tf.strings.substr(content, 0, len(PNG_SIGNATURE)) == PNG_SIGNATURE
    content = _checked(content, is_jpeg | is_png, "Expected the content of a JPEG or PNG file.")
    metadata = tf.cond(is_jpeg, lambda: _before_scan(content), lambda: content)
    pixels = tf.cond(is_jpeg, lambda: _decode_jpeg(content, metadata), lambda: _decode_png(content, bit_depth))
    return _upright(pixels, _orientation(metadata, is_jpeg))


def _checked(values, condition, message):
    """Returns the values, by an operation that fails with the message if the condition is false."""
    import tensorflow as tf

    with tf.control_dependencies([tf.debugging.Assert(condition, [message])]):
        return tf.identity(values)


def _decode_jpeg(content, metadata):
    import tensorflow as tf

    height, width, channels = tf.unstack(tf.cast(tf.io.extract_jpeg_shape(content), tf.int64))
    content = _of_allowed_size(content, height, width)
    content = _checked(
        content,
        (channels != CMYK) | _contains(metadata, ADOBE),
        "A JPEG file in CMYK without the segment of Adobe (APP14) cannot be read. Store the image in RGB.",
    )
    return tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")  # the method of Pillow


def _decode_png(content, bit_depth):
    import tensorflow as tf

    header = _bytes(tf.strings.substr(content, 0, 33))  # the signature and the chunk IHDR
    header = tf.pad(header, [[0, 33 - tf.size(header)]])
    content = _of_allowed_size(content, _number(header[16:20]), _number(header[20:24]))
    depth, colour_type = header[24], header[25]
    return tf.cond(
        depth == 16,
        lambda: _decode_png_of_16_bits(content, colour_type == GREY, bit_depth or 16),
        lambda: tf.io.decode_png(content, channels=3),
    )


def _of_allowed_size(content, height, width):
    return _checked(content, height * width <= LARGEST, f"Expected an image of at most {LARGEST:,} pixels.")


def _decode_png_of_16_bits(content, is_grey, bits):
    import tensorflow as tf

    before_pixels = tf.strings.regex_replace(content, r"IDAT\C*$", "", replace_global=False)
    content = _checked(
        content,
        ~_contains(before_pixels, SIGNIFICANT_BITS),
        "A PNG file of 16 bits that states its significant bits (sBIT) cannot be read. Store the image with 8 bits.",
    )
    samples = tf.cast(tf.io.decode_png(content, channels=3, dtype=tf.uint16), tf.float64)
    largest = 2**bits - 1
    samples = _checked(
        samples, tf.reduce_max(samples) <= largest, f"Expected pixels of {bits} bits in a PNG file of 16."
    )
    scaled = tf.round(samples / (largest / 255))
    if bits == 16:  # of colours, Pillow decodes the high bytes
        scaled = tf.where(is_grey, scaled, tf.floor(samples / 256))
    return tf.cast(scaled, tf.uint8)


def _upright(pixels, orientation):
    """Turns an image upright. Values that EXIF does not define mean upright."""
    import tensorflow as tf

    def is_one_of(*orientations):
        return tf.reduce_any(orientation == tf.constant(orientations, orientation.dtype))

    pixels = tf.cond(is_one_of(5, 6, 7, 8), lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels)
    pixels = tf.cond(is_one_of(3, 4, 7, 8), lambda: pixels[::-1], lambda: pixels)
    return tf.cond(is_one_of(2, 3, 6, 7), lambda: pixels[:, ::-1], lambda: pixels)


def _orientation(metadata, is_jpeg):
    """EXIF's number for the rotation of an image, or without EXIF that of XMP; -1 if there is neither."""
    import tensorflow as tf

    none = tf.constant(NO_ORIENTATION, tf.int64)
    of_exif = tf.cond(_contains(metadata, EXIF), lambda: _orientation_in_tiff(_behind(metadata, EXIF)), lambda: none)
    of_exif = _checked(
        of_exif,
        is_jpeg | (of_exif != NO_ORIENTATION) | ~_contains(metadata, COMPRESSED_METADATA),
        "A PNG file with compressed EXIF or XMP data, which may rotate it, cannot be read. Store it without them.",
    )
    of_xmp = tf.cond(_contains(metadata, XMP), lambda: _digit(metadata, XMP), lambda: none)
    return tf.where(of_exif != NO_ORIENTATION, of_exif, of_xmp)


def _before_scan(content):
    """The segments of a JPEG file before its pixels."""
    import tensorflow as tf

    values = tf.pad(tf.io.decode_raw(content, tf.uint8), [[0, 4]])

    def is_before_scan(position):
        return (values[position] == 0xFF) & (values[position + 1] != BEGIN_OF_SCAN)

    def next_segment(position):
        is_filling = values[position + 1] == 0xFF
        length = tf.cast(_number(tf.cast(values[position + 2 : position + 4], tf.int64)), tf.int32)
        return [tf.minimum(position + tf.where(is_filling, 1, 2 + length), tf.size(values) - 4)]

    (end,) = tf.while_loop(is_before_scan, next_segment, [2], maximum_iterations=MOST_SEGMENTS)
    return tf.strings.substr(content, 0, end)


def _orientation_in_tiff(tiff):
    """The orientation in the first directory of a TIFF file; -1 if there is none. Damaged directories are not followed."""
    import tensorflow as tf

    values = _bytes(tiff)
    is_little_endian = values[0] == ord("I")

    def number(digits):
        return _number(tf.where(is_little_endian, digits[..., ::-1], digits))

    begin = tf.minimum(number(values[4:8]), tf.size(values, tf.int64) - 2)
    entries = values[begin + 2 : begin + 2 + ENTRY * number(values[begin : begin + 2])]
    entries = tf.reshape(entries[: tf.size(entries) // ENTRY * ENTRY], (-1, ENTRY))
    tags, types, counts = number(entries[:, :2]), number(entries[:, 2:4]), number(entries[:, 4:8])
    found = tf.where(types == UNSIGNED_LONG, number(entries[:, 8:]), number(entries[:, 8:10]))
    is_number = ((types == UNSIGNED_SHORT) | (types == UNSIGNED_LONG)) & (counts == 1)
    return tf.concat([[NO_ORIENTATION], found[(tags == ORIENTATION_TAG) & is_number]], axis=0)[-1]


def _bytes(content):
    import tensorflow as tf

    return tf.cast(tf.io.decode_raw(content, tf.uint8), tf.int64)


def _number(digits):
    """The number of bytes `(..., digits)`, the most significant one first."""
    import tensorflow as tf

    return tf.reduce_sum(digits * 256 ** tf.range(tf.shape(digits, tf.int64)[-1] - 1, -1, -1), axis=-1)


def _contains(content, pattern):
    import tensorflow as tf

    return tf.strings.regex_full_match(content, rf"\C*(?:{pattern})\C*")


def _behind(content, pattern):
    """The first match of the pattern's group, and everything behind it."""
    import tensorflow as tf

    return tf.strings.regex_replace(content, rf"^\C*?{pattern}", r"\1", replace_global=False)


def _digit(content, pattern):
    import tensorflow as tf

    digit = tf.strings.regex_replace(content, rf"^\C*?{pattern}\C*$", r"\1")
    return tf.strings.to_number(digit, tf.int64)
