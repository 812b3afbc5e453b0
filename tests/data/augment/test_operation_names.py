"""The table of operations."""

import pytest

from keras_deit.data.augment import pillow_ops, tensorflow_ops
from keras_deit.data.augment.operation_names import FILL, NAMES, NOTHING, index_of
from keras_deit.imaging.imagenet import IMAGENET_MEAN

pytestmark = pytest.mark.backend_independent


def test_both_libraries_have_every_operation():
    assert set(pillow_ops._FUNCTIONS) == set(tensorflow_ops._FUNCTIONS) == set(NAMES)


def test_an_operation_is_identified_by_its_index():
    assert [index_of(name) for name in NAMES] == list(range(17))
    assert NOTHING == 17


def test_pixels_from_outside_have_the_mean_color_of_imagenet():
    assert tuple(round(255 * value) for value in IMAGENET_MEAN) == FILL
