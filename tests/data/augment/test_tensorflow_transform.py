"""Samples within `tf.data`, with draws that are given."""

import numpy as np
import pytest

from keras_deit.data import Augmentation
from keras_deit.data.augment.crops import NUM_UNIFORMS, crop, crop_attempts
from keras_deit.data.augment.erasing import noise_table
from keras_deit.data.augment.operation_names import index_of
from keras_deit.data.augment.tensorflow_transform import ImageTransform
from tests.data.augment.given_draws import MEAN, QUARTER, SIZE, STD, draws, normalized
from tests.data.images import encode, noise

tf = pytest.importorskip("tensorflow", reason="TensorFlow computes the samples")


@pytest.fixture(scope="module")
def transform():
    return ImageTransform(SIZE, MEAN, STD, crop_ratio=1.0)  # compiled once


def tensors(values):
    return {name: tf.constant(value, tf.int32 if name == "operations" else None) for name, value in values.items()}


def test_numpy_and_tensorflow_compute_the_same_crops():
    graph = tf.function(lambda row, height, width: tf.stack(crop(row, height, width, library=tf)))
    attempts = crop_attempts(np.random.default_rng(4).random((500, NUM_UNIFORMS)))
    for row, (height, width) in zip(attempts, np.random.default_rng(5).integers(1, 700, (500, 2)), strict=True):
        expected = crop(row, float(height), float(width))
        sizes = (tf.constant(float(side), tf.float64) for side in (height, width))
        np.testing.assert_array_equal(graph(tf.constant(row), *sizes), expected)


def test_a_sample_without_augmentation_is_the_normalised_image(transform):
    pixels = noise(*SIZE, 3)
    for image in (tf.constant(pixels), tf.constant(encode(pixels))):
        for make in (
            transform.evaluation_sample,
            lambda image: transform.training_sample(image, tensors(draws()), Augmentation()),
            lambda image: transform.training_sample(image, tensors(draws()), Augmentation(crop_scale=(1, 1))),
        ):
            sample = tf.function(make, autograph=False)(image)  # files can only be read within a graph
            assert (sample.dtype, sample.shape) == (tf.float32, (6, 8, 3))
            np.testing.assert_allclose(sample, normalized(pixels), atol=1e-5)


def test_flip_operations_and_erasing_come_in_this_order(transform):
    pixels = noise(*SIZE, 3)
    operations = {"operations": [index_of("Invert")], "arguments": [0.0]}
    given = tensors(draws(flip=True, erased=(1, 2, 3, 4), offset=7, **operations))
    sample = transform.training_sample(tf.constant(pixels), given, Augmentation(erasing=1.0))
    expected = normalized(255 - pixels[:, ::-1])
    expected[1:4, 2:6] = noise_table()[7 : 7 + 6 * 8 * 3].reshape(6, 8, 3)[1:4, 2:6]
    np.testing.assert_allclose(sample, expected, atol=1e-5)


def test_crops_are_cut_out_of_the_image():
    pixels = noise(*SIZE, 3)
    transform = ImageTransform((3, 4), MEAN, STD, 1.0)
    sample = transform.training_sample(
        tf.constant(pixels), tensors(draws(QUARTER)), Augmentation(crop_scale=(0.25, 0.25))
    )
    np.testing.assert_allclose(sample, normalized(pixels[2:5, 2:6]), atol=1e-5)
    central = ImageTransform((3, 4), MEAN, STD, crop_ratio=0.5).evaluation_sample(tf.constant(pixels))
    np.testing.assert_allclose(central, normalized(pixels[2:5, 2:6]), atol=1e-5)  # from row 1.5, rounded to even
