"""Labelled images in memory."""

import numpy as np
import pytest

from keras_deit.data import ImageData, load
from tests.data.images import noise

CLASSES = ("cat", "dog")


def images_of_two_sizes():
    return [noise(5, 4, 3), noise(6, 8, 3, seed=1), noise(5, 4, 3, seed=2)]


@pytest.mark.backend_independent
def test_examples_and_their_sizes():
    data = ImageData("noise", noise(3, 5, 4, 3), np.array([1, -1, 0]), CLASSES)
    image, label = data[1]
    np.testing.assert_array_equal(image, noise(3, 5, 4, 3)[1])
    assert (label, len(data), data.num_classes, data.image_size) == (-1, 3, 2, (5, 4))
    assert (data.in_memory, data.paths, data.identity, data.notes) == (True, None, None, ())
    assert data.describe(2) == "image 2 of 'noise'"
    assert [label for _, label in data] == [1, -1, 0]


@pytest.mark.backend_independent
def test_a_list_of_images_has_no_common_size_and_is_never_resized():
    data = ImageData("noise", images_of_two_sizes(), np.array([1, -1, 0]), CLASSES)
    assert data.image_size is None
    assert data.resized(8) is data


@pytest.mark.backend_independent
@pytest.mark.parametrize("images", [noise(3, 5, 4, 3), images_of_two_sizes()], ids=["array", "list"])
def test_selected_examples_keep_their_order(images):
    data = ImageData("noise", images, np.array([1, -1, 0]), CLASSES)
    selected = data.select(np.array([2, 0]))
    assert (selected.name, selected.labels.tolist(), selected.class_names) == ("noise", [0, 1], CLASSES)
    for index, original in enumerate((2, 0)):
        np.testing.assert_array_equal(selected.images[index], images[original])


def test_resizing_keeps_the_mean_and_the_range():
    pytest.importorskip("sklearn.datasets", reason="scikit-learn ships the digits")
    test = load("digits", "test")
    larger = test.resized(16)
    assert larger.images.shape == (364, 16, 16, 3)
    assert larger.images.dtype == np.uint8
    np.testing.assert_allclose(larger.images.mean(), test.images.mean(), atol=1.0)
    assert larger.image_size == (16, 16)
    np.testing.assert_array_equal(larger.labels, test.labels)
    assert test.resized(8) is test


@pytest.mark.backend_independent
def test_each_image_needs_a_label():
    with pytest.raises(ValueError, match=r"'noise' needs a label.*3 images and 2 labels"):
        ImageData("noise", noise(3, 5, 4, 3), np.array([0, 1]), CLASSES)


@pytest.mark.backend_independent
@pytest.mark.parametrize("label", [2, -2])
def test_labels_out_of_range_are_refused(label):
    with pytest.raises(ValueError, match=f"labels of 'noise' must be from 0 to 1 .* or -1 .* Received: {label}"):
        ImageData("noise", noise(3, 5, 4, 3), np.array([0, label, 1]), CLASSES)


@pytest.mark.backend_independent
def test_the_digest_changes_with_name_number_and_pixels():
    images, labels = noise(3, 5, 4, 3), np.zeros(3, int)
    changed = images.copy()
    changed[2, 4, 3, 2] ^= 1
    original = ImageData("noise", images, labels, CLASSES)
    others = [
        ImageData("other", images, labels, CLASSES),
        ImageData("noise", images[:2], labels[:2], CLASSES),
        ImageData("noise", changed, labels, CLASSES),
    ]
    assert len({data.content_digest() for data in (original, *others)}) == 4
    assert ImageData("noise", list(images), labels, CLASSES).content_digest() == original.content_digest()


RGB = noise(3, 5, 4, 3)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (RGB[..., 0], np.repeat(RGB[..., :1], 3, axis=-1)),
        (RGB[..., :1], np.repeat(RGB[..., :1], 3, axis=-1)),
        (np.concatenate([RGB, RGB[..., :1]], axis=-1), RGB),
        (RGB.astype("float32") + 0.3, RGB),
        (RGB.astype("int64"), RGB),
        (RGB.astype("uint16") * 257, RGB),
        ([RGB[0], RGB[1, ..., 0], RGB[2].astype("float64")], [RGB[0], np.repeat(RGB[1, ..., :1], 3, axis=-1), RGB[2]]),
        ([np.full((4, 4), 0.7), RGB[0].astype("float32"), RGB[1]], [np.ones((4, 4, 3)), RGB[0], RGB[1]]),
    ],
    ids=["grey", "one channel", "alpha", "floats", "integers", "16 bits", "mixed list", "a dark image among others"],
)
def test_images_of_other_kinds_become_rgb_of_eight_bits(images, expected):
    data = ImageData("mine", images, [[0], [1], [0]], CLASSES)
    assert data.labels.tolist() == [0, 1, 0]
    for received, wanted in zip(data.images, expected, strict=True):
        assert received.dtype == np.uint8
        np.testing.assert_array_equal(received, wanted)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            RGB / 255,
            r"The images of 'mine' must have pixels in 0..255. Received: float64 values in .*multiply them by 255",
        ),
        (RGB / 127.5 - 1, "must have pixels in 0..255.*undo the normalisation"),
        (RGB > 100, "must have pixels in 0..255. Received: booleans"),
        (list(RGB / 255), "multiply them by 255"),
        (RGB.reshape(3, -1), r"must have the shape .*Received: shape=\(3, 60\)"),
        (noise(3, 3, 5, 6), r"must have the shape .*Received: shape=\(3, 3, 5, 6\)"),
    ],
    ids=["0..1", "-1..1", "booleans", "list", "flat", "channels first"],
)
def test_images_of_another_range_or_shape_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        ImageData("mine", images, [0, 1, 0], CLASSES)


@pytest.mark.backend_independent
def test_an_image_of_a_list_with_its_channels_first_is_named():
    images = [noise(8, 9, 3), noise(3, 8, 9)]
    with pytest.raises(ValueError, match=r"image 1 of 'mine': an image must have.*shape=\(3, 8, 9\)"):
        ImageData("mine", images, [0, 1], ("a", "b"))
