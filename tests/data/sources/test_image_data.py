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
