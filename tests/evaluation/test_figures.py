"""The figures of a classifier, beside those of scikit-learn."""

import numpy as np
import pytest

from keras_deit.evaluation.figures import (
    as_probabilities,
    confusion_matrix,
    precision_and_recall,
    ranks,
    top_accuracy,
)

metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn computes the expected figures")
pytestmark = pytest.mark.backend_independent

CLASSES = 9


@pytest.fixture
def outputs():
    """Logits of 200 images that favour the right class, and the right classes; the last class has no image."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES - 1, 200)
    return rng.normal(size=(200, CLASSES)) + 1.5 * np.eye(CLASSES)[labels], labels


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_accuracies_are_those_of_scikit_learn(k, outputs):
    logits, labels = outputs
    expected = metrics.top_k_accuracy_score(labels, logits, k=k, labels=range(CLASSES))
    assert top_accuracy(ranks(logits, labels), k) == pytest.approx(expected, abs=1e-12)


def test_of_equal_outputs_the_first_one_comes_first_as_in_argmax():
    outputs = np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0], [3.0, 3.0, 3.0]])
    for label in range(3):
        expected = [np.argsort(-row, kind="stable").tolist().index(label) for row in outputs]
        assert ranks(outputs, np.full(3, label)).tolist() == expected


def test_confusion_precision_and_recall_are_those_of_scikit_learn(outputs):
    logits, labels = outputs
    predicted = logits.argmax(-1)
    predicted[predicted == 3] = 2  # a class that is never predicted
    confusion = confusion_matrix(labels, predicted, (CLASSES, CLASSES))
    np.testing.assert_array_equal(confusion, metrics.confusion_matrix(labels, predicted, labels=range(CLASSES)))
    options = dict(labels=range(CLASSES), average=None, zero_division=np.nan)
    precision, recall = precision_and_recall(confusion)
    assert (precision[3], recall[CLASSES - 1]) == (None, None)  # never predicted; without images
    for found, score in ((precision, metrics.precision_score), (recall, metrics.recall_score)):
        expected = score(labels, predicted, **options)
        np.testing.assert_allclose(np.array(found, float), expected, rtol=1e-12)


def test_predictions_of_further_classes_lower_the_recall_alone():
    confusion = np.array([[3, 1, 4], [0, 2, 0]])
    assert precision_and_recall(confusion) == ([1.0, 2 / 3], [3 / 8, 1.0])


def test_logits_become_probabilities_and_probabilities_stay():
    special = pytest.importorskip("scipy.special", reason="SciPy computes the expected softmax")
    logits = np.random.default_rng(0).normal(size=(5, 4)).astype("float32") * 30
    probabilities = special.softmax(logits.astype("float64"), axis=-1)
    np.testing.assert_allclose(as_probabilities(logits), probabilities, rtol=1e-12)
    np.testing.assert_array_equal(as_probabilities(probabilities), probabilities)


def test_probabilities_of_bfloat16_are_no_logits():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(5), 50).astype("float32")
    rounded = ((probabilities.view("uint32") + 0x8000) & 0xFFFF0000).view("float32")  # to 8 significant bits
    assert abs(rounded.sum(-1) - 1).max() > 1e-3
    np.testing.assert_array_equal(as_probabilities(rounded), rounded)
