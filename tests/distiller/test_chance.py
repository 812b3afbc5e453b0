"""Which accuracies may be those of random predictions."""

import numpy as np
import pytest

from keras_deit.distiller.chance import describe_chance

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize(("num_classes", "num_images"), [(2, 100), (5, 60), (10, 364), (100, 5000)])
def test_random_predictions_are_recognised(num_classes, num_images):
    rng = np.random.default_rng(0)
    labels = np.arange(num_images) % num_classes
    accuracies = (rng.integers(0, num_classes, (200, num_images)) == labels).mean(axis=1)
    found = [describe_chance(accuracy, num_classes, num_images) is not None for accuracy in accuracies]
    assert np.mean(found) > 0.98
    assert describe_chance(1 / num_classes, num_classes, num_images)  # one answer for every image
    assert describe_chance(0.0, num_classes, num_images)


@pytest.mark.parametrize(
    ("accuracy", "num_classes", "num_images"),
    [(1.0, 2, 4), (0.9, 2, 10), (0.7, 2, 200), (0.5, 10, 364), (0.1, 100, 5000)],
)
def test_a_model_that_knows_its_classes_is_not_taken_for_random(accuracy, num_classes, num_images):
    assert describe_chance(accuracy, num_classes, num_images) is None


@pytest.mark.parametrize(
    ("accuracy", "comparison"),
    [(0.25, "about as often as"), (0.2, "about as often as"), (0.1, "about as often as"), (0.01, "less often than")],
)
def test_the_text_has_the_accuracy_and_that_of_random_predictions(accuracy, comparison):
    text = (
        f"right on {accuracy:.1%} of 100 test images, {comparison} random predictions would be (20.0% with 5 classes)"
    )
    assert describe_chance(accuracy, num_classes=5, num_images=100) == text


def test_without_a_labelled_image_nothing_is_known():
    assert describe_chance(0.0, num_classes=5, num_images=0) is None
