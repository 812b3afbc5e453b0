"""Images that are prepared for a model as in its evaluation."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.data import ImageData
from keras_deit.evaluation.prepared_images import classes_of, knows_preparation, prepared_images
from tests.data.images import noise

pytest.importorskip("PIL.Image", reason="Pillow resizes the images")
NAMES = ("ant", "bee", "cat")
RECORD = {"crop_ratio": 0.8, "squash": True, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)}
BYTES = 4 * 16 * 16 * 3  # of one image


def make_model(**arguments):
    shape = dict(image_size=16, patch_size=8, hidden_dim=16, num_layers=1, num_heads=2, num_classes=3)
    return kd.DeiTClassifier(kd.DeiT(**shape, **{"class_names": NAMES, "preprocessing": RECORD, **arguments}))


@pytest.fixture(scope="module")
def data():
    """Seven images of classes in another order than the model's; the second one is unlabelled."""
    images = [noise(20, 30, 3, seed=index) for index in range(7)]
    return ImageData("noise", images, np.array([0, -1, 1, 2, 0, 1, 2]), ("cat", "ant", "bee"))


def test_images_are_prepared_as_the_record_says_and_labels_are_those_of_the_model(data):
    classes = classes_of(make_model(), data)
    images, labels = prepared_images(make_model(), data, max_bytes=2**20, classes=classes)
    expected = keras.ops.convert_to_numpy(kd.ImageProcessor(16, **RECORD)(list(data.images)))
    np.testing.assert_allclose(images, expected, rtol=0, atol=1e-5)
    assert labels.tolist() == [2, -1, 0, 1, 2, 0, 1]
    assert "in another order" in classes.note


@pytest.mark.backend_independent
def test_images_that_do_not_fit_into_the_memory_are_left_out_at_equal_distances(data):
    every, _ = prepared_images(make_model(), data, max_bytes=2**20)
    images, labels = prepared_images(make_model(), data, 3 * BYTES + 1, classes=classes_of(make_model(), data))
    np.testing.assert_array_equal(images, every[[0, 3, 6]])
    assert labels.tolist() == [2, 1, 1]
    assert len(prepared_images(make_model(), data, max_bytes=1)[0]) == 1


@pytest.mark.backend_independent
def test_a_model_of_several_labels_has_no_right_class(data):
    assert classes_of(make_model(multi_label=True), data) is None


@pytest.mark.backend_independent
def test_images_without_labels_may_have_other_classes(data):
    model = make_model(class_names=("ant", "bee", "dog"))
    images, labels = prepared_images(model, data, max_bytes=2**20)
    assert (len(images), labels) == (7, None)
    with pytest.raises(ValueError, match="The classes of the dataset must be among those of the weights"):
        classes_of(model, data)


@pytest.mark.backend_independent
def test_a_model_of_this_package_says_how_images_are_prepared():
    assert knows_preparation(make_model(preprocessing=None))
    assert not knows_preparation(keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten()]))
