"""The warning about a teacher that is no better than chance."""

import warnings

import numpy as np
import pytest

from keras_deit.data import ImageData
from keras_deit.training.teachers.chance import warn_if_at_chance

pytestmark = pytest.mark.backend_independent


def warns(accuracy, num_classes, num_images, num_unlabelled=0):
    labels = np.arange(num_images) % num_classes
    labels[:num_unlabelled] = -1
    names = tuple(map(str, range(num_classes)))
    data = ImageData("data", np.zeros((num_images, 2, 2, 3), "uint8"), labels, names)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_at_chance(accuracy, data)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(("num_classes", "num_images"), [(2, 100), (5, 60), (10, 364), (100, 5000)])
def test_random_predictions_are_warned_about(num_classes, num_images):
    rng = np.random.default_rng(0)
    labels = np.arange(num_images) % num_classes
    accuracies = (rng.integers(0, num_classes, (200, num_images)) == labels).mean(axis=1)
    assert np.mean([bool(warns(accuracy, num_classes, num_images)) for accuracy in accuracies]) > 0.98
    assert warns(1 / num_classes, num_classes, num_images)  # one answer for every image
    assert warns(0.0, num_classes, num_images)


@pytest.mark.parametrize(
    ("accuracy", "num_classes", "num_images"),
    [(1.0, 2, 4), (0.9, 2, 10), (0.7, 2, 200), (0.5, 10, 364), (0.1, 100, 5000)],
)
def test_a_teacher_that_knows_its_classes_is_not_warned_about(accuracy, num_classes, num_images):
    assert not warns(accuracy, num_classes, num_images)


def test_the_warning_names_accuracy_chance_and_causes():
    (message,) = warns(0.2, 5, 100)
    for part in ("20.0% of the 100 test images", "20.0% with 5 classes", "--teacher-value-range", "another order"):
        assert part in message


def test_images_without_a_label_do_not_count():
    assert "of the 40 test images" in warns(0.2, 5, 100, num_unlabelled=60)[0]
    assert not warns(0.0, 5, 100, num_unlabelled=100)
