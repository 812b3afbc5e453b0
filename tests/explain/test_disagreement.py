"""The rates at which classifiers disagree, compared with hand-made examples and with the predictions of models."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.explain import Head, disagreement, student_and_teacher
from tests.explain.models import SIZE, random_deit, random_images

pytestmark = pytest.mark.eager
IMAGES = random_images(40)


def test_rates_of_a_hand_made_example():
    logits = np.array([[3.0, 1.0, 2.0], [0.0, 0.5, 0.1], [0.0, 0.2, 0.9], [-1.0, -2.0, -3.0]])  # classes 0, 1, 2, 0
    tensor = keras.ops.convert_to_tensor(np.array([0, 0, 0, 1]))
    names, rates = disagreement({"teacher": logits, "class": np.array([0, 1, 2, 2]), "other": tensor})
    assert names == ("teacher", "class", "other")
    np.testing.assert_array_equal(rates, [[0, 0.25, 0.75], [0.25, 0, 0.75], [0.75, 0.75, 0]])


@pytest.fixture(scope="module")
def deit():
    return random_deit()


def linear_model(seed=3, **arguments):
    model = keras.Sequential([keras.Input((24, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(5, **arguments)])
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    return model


def rates_by_hand(*predictions):
    classes = [np.argmax(logits, axis=-1) for logits in predictions]
    return [[np.mean(one != other) for other in classes] for one in classes]


@pytest.mark.compiled
def test_heads_fusion_teacher_and_other_models_are_compared(deit):
    mean, std = np.array([0.2, 0.3, 0.4], "float32"), 0.5
    linear, softmax = linear_model(), linear_model(4, activation="softmax")
    values = np.random.default_rng(5).normal(size=(3, 5)).astype("float32")
    weights = keras.ops.convert_to_tensor(values)
    models = {
        **student_and_teacher(deit, kd.Teacher(linear, value_range=(0, 255))),
        "bare": softmax,
        "function": lambda images: keras.ops.mean(images, axis=(1, 2)) @ weights,
        "late": kd.DeiTClassifier(deit, fusion="sum"),
        "stored": np.arange(40) % 5,
    }
    batches = [IMAGES[:25], IMAGES[25:]]
    names, rates = disagreement(models, batches, image_mean=mean, image_std=std)
    heads = deit.predict(IMAGES, verbose=0)
    expected = rates_by_hand(
        linear.predict((IMAGES * std + mean) * 255, verbose=0),
        heads["class"],
        heads["distillation"],
        heads["class"] + heads["distillation"],
        softmax.predict(IMAGES, verbose=0),
        IMAGES.mean((1, 2)) @ values,
        models["late"].predict(IMAGES, verbose=0),
        np.eye(5)[np.arange(40) % 5],
    )
    assert names == ("teacher", "class", "distillation", "fused", "bare", "function", "late", "stored")
    np.testing.assert_allclose(rates, expected)
    np.testing.assert_array_equal(rates, rates.T)
    assert not np.diag(rates).any()
    assert len(np.unique(rates)) > 5


def test_a_head_is_a_classifier_of_its_own(deit):
    heads = deit.predict(IMAGES, verbose=0)
    models = {"class": Head(deit, "class"), "fused": kd.DeiTClassifier(deit, fusion="mean_probabilities")}
    probabilities = sum(np.exp(one) / np.exp(one).sum(-1, keepdims=True) for one in heads.values())
    _, rates = disagreement(models, (IMAGES, None))
    np.testing.assert_allclose(rates, rates_by_hand(heads["class"], probabilities))


def test_classes_in_another_order_are_compared_by_name(deit):
    names = ("a", "b", "c", "d", "e")
    named = random_deit(class_names=names)
    positions = [4, 2, 0, 1, 3]
    other = random_deit(seed=5, class_names=[names[index] for index in positions])
    _, rates = disagreement({"named": named, "other": other}, IMAGES)
    logits = [sum(model.predict(IMAGES, verbose=0).values()) for model in (named, other)]
    expected = np.mean(logits[0].argmax(-1) != np.take(positions, logits[1].argmax(-1)))
    assert rates[0, 1] == pytest.approx(expected)
    with pytest.raises(
        ValueError, match="must have the same classes. Received: a, b, c, d, e, and of 'other' v, w, x, y, z."
    ):
        disagreement({"named": named, "other": random_deit(class_names=list("vwxyz"))}, IMAGES)


def test_the_students_own_normalisation_is_that_of_the_images():
    record = {"mean": 0.5, "std": 0.25}
    deit = random_deit(preprocessing=record)
    linear = linear_model()
    _, rates = disagreement({"teacher": kd.Teacher(linear), "student": deit}, IMAGES)
    predictions = linear.predict(IMAGES * 0.25 + 0.5, verbose=0), sum(deit.predict(IMAGES, verbose=0).values())
    np.testing.assert_allclose(rates, rates_by_hand(*predictions))


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"a": np.zeros(3, int)}, r"needs at least two classifiers. Received: \['a'\]"),
        ({"a": np.zeros(3, int), "b": np.zeros(4, int)}, "the same number of images. Received: 'a': 3, 'b': 4"),
        ({"a": np.zeros((3, 2)), "b": np.zeros((3, 4))}, "the same number of classes. Received: 'a': 2, 'b': 4"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, r"logits \(images, classes\) of two or more classes"),
        ({"a": np.zeros((3, 1)), "b": np.zeros((3, 1))}, r"Received: 'a' with shape=\(3, 1\), dtype=float64"),
        (
            {"a": np.full((3, 2), np.nan), "b": np.zeros((3, 2))},
            "must be finite. Received: NaN or infinity among those of",
        ),
    ],
)
@pytest.mark.backend_independent
def test_predictions_that_cannot_be_compared_are_refused(models, message):
    with pytest.raises(ValueError, match=message):
        disagreement(models)


def test_several_labels_are_refused():
    deit = kd.DeiT(**SIZE, num_classes=5, multi_label=True)
    with pytest.raises(ValueError, match="'student' with `multi_label=True`"):
        disagreement({"student": deit, "stored": np.zeros(40, int)}, IMAGES)
