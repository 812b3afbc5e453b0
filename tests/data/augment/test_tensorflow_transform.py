"""Samples within `tf.data`, with draws that are given."""

import io

import numpy as np
import pytest

from keras_deit.data import Augmentation
from keras_deit.data.augment.crops import NUM_UNIFORMS, crop, crop_attempts
from keras_deit.data.augment.erasing import noise_table
from keras_deit.data.augment.operation_names import index_of
from keras_deit.data.augment.tensorflow_transform import BEGIN_OF_SCAN, ImageTransform
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


def test_transforms_with_equal_arguments_are_compiled_once(transform):
    pixels = noise(*SIZE, 3)

    def invert(transform):
        given = tensors(draws(operations=[index_of("Invert")], arguments=[0.0]))
        return transform.training_sample(tf.constant(pixels), given, Augmentation())

    invert(transform)
    num_traces = transform._finish.experimental_get_tracing_count()
    second = ImageTransform(list(SIZE), np.array(MEAN), np.array(STD), crop_ratio=0.5)
    assert second._finish.experimental_get_tracing_count() == num_traces
    invert(second)
    assert second._finish.experimental_get_tracing_count() == num_traces
    of_other_std = invert(ImageTransform(SIZE, MEAN, [2 * value for value in STD], crop_ratio=1.0))
    np.testing.assert_allclose(of_other_std, normalized(255 - pixels) / 2, atol=1e-5)


def test_crops_are_cut_out_of_the_image():
    pixels = noise(*SIZE, 3)
    transform = ImageTransform((3, 4), MEAN, STD, 1.0)
    sample = transform.training_sample(
        tf.constant(pixels), tensors(draws(QUARTER)), Augmentation(crop_scale=(0.25, 0.25))
    )
    np.testing.assert_allclose(sample, normalized(pixels[2:5, 2:6]), atol=1e-5)
    central = ImageTransform((3, 4), MEAN, STD, crop_ratio=0.5).evaluation_sample(tf.constant(pixels))
    np.testing.assert_allclose(central, normalized(pixels[2:5, 2:6]), atol=1e-5)  # from row 1.5, rounded to even


@pytest.fixture(scope="module")
def jpeg():
    """A photograph, larger than the bytes that are searched."""
    return encode(np.repeat(np.repeat(noise(32, 48, 3), 8, axis=0), 8, axis=1), "JPEG")


def test_ordinary_jpegs_are_decoded_by_tensorflow_alone(transform, jpeg, monkeypatch):
    image = pillow_image(jpeg)
    ordinary = {
        "colour": jpeg,
        "grey": encode(image.convert("L"), "JPEG"),
        "progressive": encode(image, "JPEG", progressive=True),
        "with a profile of colours": encode(image, "JPEG", icc_profile=bytes(range(256)) * 8),
        "smaller than the bytes that are searched": encode(noise(*SIZE, 3), "JPEG"),
    }

    def refuse(*_):
        raise AssertionError("Pillow was asked")

    for name in ("is_upright", "read_image"):
        monkeypatch.setattr(f"keras_deit.data.augment.tensorflow_transform.{name}", refuse)
    evaluate = tf.function(transform.evaluation_sample, autograph=False)
    train = tf.function(
        lambda image: transform.training_sample(image, tensors(draws()), Augmentation(crop_scale=(1, 1))),
        autograph=False,
    )
    for name, content in ordinary.items():
        for make in (evaluate, train):
            assert make(tf.constant(content)).shape == (*SIZE, 3), name


def test_pillow_is_asked_only_about_jpegs_whose_rotation_may_be_anywhere(transform, jpeg, monkeypatch):
    asked = []
    target = "keras_deit.data.augment.tensorflow_transform.is_upright"
    monkeypatch.setattr(target, lambda content: not asked.append(content))
    is_plain = tf.function(transform._is_plain_jpeg, autograph=False)
    tags = pillow_image(jpeg).getexif()
    tags[0x0112] = 6
    rotated = encode(pillow_image(jpeg), "JPEG", exif=tags)
    comment = b"\xff\xfe" + (9002).to_bytes(2, "big") + bytes(9000)
    behind_much = jpeg[:2] + comment + jpeg[2:]
    for content in (jpeg, rotated, behind_much, encode(noise(*SIZE, 3))):
        is_plain(tf.constant(content))
    assert asked == [rotated, behind_much]


SCANS = {
    1: b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00",
    2: b"\xff\xda\x00\x0a\x02\x01\x00\x02\x11\x00\x3f\x00",
    3: b"\xff\xda\x00\x0c\x03R\x00G\x11B\x11\x00\x00\x01",
}


def has_scan(header):
    return bool(tf.strings.regex_full_match(header, BEGIN_OF_SCAN))


@pytest.mark.parametrize("channels", SCANS)
def test_the_begin_of_a_scan_is_found_among_any_bytes(channels):
    scan = SCANS[channels]
    assert has_scan(scan)
    assert has_scan(bytes(range(256)) + b"\n" + scan + bytes(range(255, -1, -1)))
    assert not has_scan(scan[:-1])
    assert not has_scan(scan.replace(bytes([0, scan[3], channels]), bytes([0, scan[3], channels + 1])))


def test_tables_and_other_bytes_are_no_scan(jpeg):
    tables = jpeg[: jpeg.index(b"\xff\xda")]
    assert len(tables) > 500
    assert not any(map(has_scan, (tables, noise(4096, seed=1).tobytes(), bytes(4096), b"")))


def pillow_image(content):
    return pytest.importorskip("PIL.Image").open(io.BytesIO(content))
