"""Samples by NumPy and Pillow, with draws that are given."""

import numpy as np
import pytest

from keras_deit.data import Augmentation, ImageData, ImageRecords
from keras_deit.data.augment.erasing import noise_table
from keras_deit.data.augment.operation_names import index_of
from keras_deit.data.augment.pillow_transform import ImageTransform
from tests.data.augment.given_draws import MEAN, QUARTER, SIZE, STD, draws, normalized
from tests.data.images import encode, noise

pytest.importorskip("PIL.Image", reason="Pillow resizes the images")
pytestmark = pytest.mark.backend_independent


def test_a_sample_without_augmentation_is_the_normalised_image():
    transform = ImageTransform(SIZE, MEAN, STD, crop_ratio=1.0)
    pixels = noise(*SIZE, 3)
    for image in (pixels, encode(pixels)):
        for sample in (
            transform.evaluation_sample(image),
            transform.training_sample(image, draws(), Augmentation()),
            transform.training_sample(image, draws(), Augmentation(crop_scale=(1, 1))),
        ):
            assert (sample.dtype, sample.shape) == (np.float32, (6, 8, 3))
            np.testing.assert_allclose(sample, normalized(pixels), atol=1e-5)


def test_flip_operations_and_erasing_come_in_this_order():
    transform = ImageTransform(SIZE, MEAN, STD, crop_ratio=1.0)
    pixels = noise(*SIZE, 3)
    operations = {"operations": [index_of("Invert")], "arguments": [0.0]}
    given = draws(flip=True, erased=(1, 2, 3, 4), offset=7, **operations)
    sample = transform.training_sample(pixels, given, Augmentation(erasing=1.0))
    expected = normalized(255 - pixels[:, ::-1])
    expected[1:4, 2:6] = noise_table()[7 : 7 + 6 * 8 * 3].reshape(6, 8, 3)[1:4, 2:6]
    np.testing.assert_allclose(sample, expected, atol=1e-5)


def test_a_sample_is_written_to_the_given_array():
    transform = ImageTransform(SIZE, MEAN, STD, crop_ratio=1.0)
    pixels, batch = noise(*SIZE, 3), np.zeros((2, *SIZE, 3), "float32")
    for image in (pixels, encode(pixels)):
        batch[:] = 0
        transform.training_sample(image, draws(), Augmentation(crop_scale=(1, 1)), out=batch[1])
        np.testing.assert_allclose(batch[1], normalized(pixels), atol=1e-5)
        assert not batch[0].any()


def test_a_crop_is_cut_out_before_it_is_resized():
    pixels = noise(*SIZE, 3)
    sample = ImageTransform((3, 4), MEAN, STD, 1.0).training_sample(
        pixels, draws(QUARTER), Augmentation(crop_scale=(0.25, 0.25))
    )
    np.testing.assert_allclose(sample, normalized(pixels[2:5, 2:6]), atol=1e-5)


def test_the_central_crop_keeps_its_fraction_of_the_resized_image():
    transform = ImageTransform((6, 6), MEAN, STD, crop_ratio=0.75)  # of an image of 8×12 pixels, not resized
    pixels = noise(8, 12, 3)
    for sample in (
        transform.evaluation_sample(pixels),
        transform.training_sample(pixels, draws(flip=False), Augmentation(flip=0.5)),
    ):
        np.testing.assert_allclose(sample, normalized(pixels[1:7, 3:9]), atol=1e-5)


def test_only_images_in_memory_of_the_right_size_are_left_unchanged():
    transform = ImageTransform(SIZE, MEAN, STD, crop_ratio=1.0)
    data = ImageData("noise", noise(2, *SIZE, 3), np.zeros(2, int), ("a",))
    assert transform.leaves_unchanged(data)
    assert not transform.leaves_unchanged(data, Augmentation(flip=0.5))
    assert not ImageTransform(SIZE, MEAN, STD, crop_ratio=0.875).leaves_unchanged(data)
    assert not ImageTransform((8, 8), MEAN, STD, crop_ratio=1.0).leaves_unchanged(data)
    assert not transform.leaves_unchanged(ImageRecords("noise", list(data), ("a",)))
    assert not transform.leaves_unchanged(ImageData("noise", list(data.images), data.labels, ("a",)))
