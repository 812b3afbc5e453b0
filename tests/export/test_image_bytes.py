"""Image files in a graph of TensorFlow, compared with Pillow's."""

import numpy as np
import pytest

from keras_deit.imaging.image_files import read_image
from tests.export.image_files import readable, unreadable
from tests.export.students import tensorflow_only
from tests.imaging.png_files import png

pytestmark = tensorflow_only


@pytest.fixture(scope="module")
def decode():
    """`decode_image` as a traced function."""
    return traced(bit_depth=None)


def traced(bit_depth):
    import tensorflow as tf

    from keras_deit.export.image_bytes import decode_image

    signature = [tf.TensorSpec((), tf.string)]
    return tf.function(lambda content: decode_image(content, bit_depth), signature, autograph=False)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_files_of_every_kind_have_the_pixels_of_pillow(decode):
    files = readable()
    for name, content in files.items():
        np.testing.assert_array_equal(decode(content), read_image(content), err_msg=name)
    upright, turned = (decode(files[f"jpeg_orientation_{value}"]).shape for value in (1, 6))
    assert (upright, turned) == ((60, 91, 3), (91, 60, 3))


def test_other_files_are_refused(decode):
    import tensorflow as tf

    for name, (content, message) in unreadable().items():
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            decode(content)
        assert message in error.value.message, name


def test_the_bit_depth_of_a_record_scales_pixels_of_16_bits():
    import tensorflow as tf

    decode = traced(bit_depth=12)
    samples = np.arange(0, 4096, 64).astype("uint16").reshape(8, 8)
    for content in (png(samples), png(np.stack([samples] * 3, axis=2))):
        np.testing.assert_array_equal(decode(content), read_image(content, bit_depth=12))
    with pytest.raises(tf.errors.InvalidArgumentError, match="pixels of 12 bits"):
        decode(png(samples * 16))
