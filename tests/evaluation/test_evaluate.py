"""Whole evaluations, beside scikit-learn's figures of the model's own predictions."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.data import ImageData, ImageRecords
from tests.data.images import noise
from tests.data.pipeline.first_batches import skip_without
from tests.toys import softmax

metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn computes the expected figures")
pytest.importorskip("tqdm", reason="the progress bar")
pytest.importorskip("PIL.Image", reason="Pillow resizes the images")

NAMES = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu")
# Nothing of it is a default.
RECORD = {
    "crop_ratio": 0.8,
    "interpolation": "bilinear",
    "squash": True,
    "mean": (0.4, 0.5, 0.6),
    "std": (0.2, 0.3, 0.4),
}


def make_model(names=NAMES, **arguments):
    """A DeiT of one block whose heads differ and whose predictions depend on the image."""
    options = dict(hidden_dim=16, num_layers=1, num_heads=2, class_names=names, preprocessing=RECORD) | arguments
    model = kd.DeiT(num_classes=7, image_size=16, patch_size=8, **options)
    rng = np.random.default_rng(0)
    for head in ("class_head", "distillation_head"):
        model.get_layer(head).set_weights([rng.normal(size=(16, 7)), np.zeros(7)])
    return model


@pytest.fixture(scope="module")
def data():
    """Images of two sizes, each sixth one unlabelled. None is tall: Pillow resizes those in another order of the axes."""
    images = [noise(20 + index % 2 * 10, 40, 3, seed=index) for index in range(48)]
    labels = np.random.default_rng(1).integers(0, 7, 48)
    labels[::6] = -1
    return ImageData("noise", images, labels, NAMES)


def predicted_by_hand(model, data, record):
    """Logits of the heads and the fusion for the labelled images, prepared by the image processor."""
    processor = kd.ImageProcessor(16, **record)
    images = keras.ops.convert_to_numpy(processor([data.images[index] for index in np.flatnonzero(data.labels >= 0)]))
    heads = model.predict(images, verbose=0)
    return {"": (heads["class"] + heads["distillation"]) / 2, **{f"{name}_": heads[name] for name in heads}}


def test_the_figures_are_those_of_scikit_learn(data):
    model = make_model()
    evaluation = kd.evaluate(model, data)
    labels, logits = data.labels[data.labels >= 0], predicted_by_hand(model, data, RECORD)
    assert (evaluation.num_images, evaluation.num_unlabelled) == (40, 8)
    assert len(evaluation.accuracies) == 6
    for prefix, values in logits.items():
        assert evaluation.accuracies[f"{prefix}accuracy"] == metrics.accuracy_score(labels, values.argmax(-1))
        top5 = metrics.top_k_accuracy_score(labels, values, k=5, labels=range(7))
        assert evaluation.accuracies[f"{prefix}top5_accuracy"] == pytest.approx(top5, abs=1e-12)
    predicted = logits[""].argmax(-1)
    np.testing.assert_array_equal(evaluation.confusion, metrics.confusion_matrix(labels, predicted, labels=range(7)))
    _, recall, _, counts = metrics.precision_recall_fscore_support(labels, predicted, labels=range(7), zero_division=0)
    assert [row["images"] for row in evaluation.classes] == counts.tolist()
    np.testing.assert_allclose([row["recall"] for row in evaluation.classes], recall, rtol=1e-12)


def test_the_mistakes_are_named_the_most_confident_one_first(data):
    model = make_model()
    probabilities = softmax(predicted_by_hand(model, data, RECORD)[""].astype("float64"))
    indices, labels = np.flatnonzero(data.labels >= 0), data.labels[data.labels >= 0]
    predicted = probabilities.argmax(-1)
    wrong = sorted(np.flatnonzero(predicted != labels), key=lambda index: -probabilities[index].max())
    found = kd.evaluate(model, data).mistakes
    assert [mistake.image for mistake in found] == [f"image {indices[index]} of 'noise'" for index in wrong]
    assert [(mistake.true, mistake.predicted) for mistake in found] == [
        (NAMES[labels[index]], NAMES[predicted[index]]) for index in wrong
    ]
    np.testing.assert_allclose([mistake.probability for mistake in found], probabilities.max(-1)[wrong], rtol=1e-3)


@pytest.mark.parametrize("pipeline", ["tf.data", "python"])
def test_every_pipeline_and_every_kind_of_dataset_gives_the_same_figures(pipeline, data):
    skip_without(pipeline)
    model = make_model()
    expected = kd.evaluate(model, data, pipeline="python")
    records = ImageRecords("noise", list(zip(data.images, data.labels, strict=True)), NAMES)
    for one in (data, records):
        found = kd.evaluate(model, one, pipeline=pipeline)
        assert found.accuracies == expected.accuracies
        assert (found.num_images, found.num_unlabelled) == (40, 8)
        assert [mistake.image for mistake in found.mistakes] == [mistake.image for mistake in expected.mistakes]


def test_classes_in_another_order_give_the_same_figures(data):
    model = make_model()
    expected = kd.evaluate(model, data)
    order = [3, 0, 6, 2, 5, 1, 4]
    reordered = make_model(names=tuple(NAMES[index] for index in order))
    for head in ("class_head", "distillation_head"):
        kernel, bias = model.get_layer(head).get_weights()
        reordered.get_layer(head).set_weights([kernel[:, order], bias[order]])
    reordered.backbone.set_weights(model.backbone.get_weights())
    found = kd.evaluate(reordered, data)
    assert found.accuracies == expected.accuracies
    np.testing.assert_array_equal(found.confusion, expected.confusion)
    assert "in another order" in found.note
    assert expected.note is None


def test_a_dataset_with_some_of_the_classes_counts_predictions_of_the_others_as_wrong(data):
    model = make_model()
    few = ImageData("few", data.images, np.where(data.labels > 2, -1, data.labels), NAMES)
    expected = predicted_by_hand(model, few, RECORD)[""].argmax(-1)
    labels = few.labels[few.labels >= 0]
    theirs = ("Cat", "ant", "bee")  # in another order and spelling
    labels_of_theirs = np.array([1, 2, 0, -1])[np.where(few.labels < 0, 3, few.labels)]
    evaluation = kd.evaluate(model, ImageData("few", data.images, labels_of_theirs, theirs))
    assert evaluation.accuracies["accuracy"] == metrics.accuracy_score(labels, expected)
    whole = metrics.confusion_matrix(labels, expected, labels=range(7))[[2, 0, 1]]
    np.testing.assert_array_equal(evaluation.confusion[:, :3], whole[:, [2, 0, 1]])
    np.testing.assert_array_equal(evaluation.confusion[:, 3], whole[:, 3:].sum(axis=1))
    assert evaluation.predicted_names == (*theirs, "other classes")
    names = ("ant", "bee", "Cat", *NAMES[3:])  # as the dataset spells its own
    wrong = [names[index] for index, label in zip(expected, labels, strict=True) if index != label]
    assert sorted(mistake.predicted for mistake in evaluation.mistakes) == sorted(wrong)


def test_given_values_replace_those_of_the_record(data):
    model = make_model()
    given = {
        "crop_ratio": 1.0,
        "interpolation": "box",
        "squash": False,
        "mean": (0.1, 0.2, 0.3),
        "std": (0.5, 0.5, 0.5),
    }
    evaluation = kd.evaluate(model, data, **given)
    logits = predicted_by_hand(model, data, given)[""]
    labels = data.labels[data.labels >= 0]
    assert evaluation.accuracies["accuracy"] == metrics.accuracy_score(labels, logits.argmax(-1))
    assert evaluation.preparation["interpolation"] == "box"
    assert [mistake.probability for mistake in evaluation.mistakes] != [
        mistake.probability for mistake in kd.evaluate(model, data).mistakes
    ]


def test_a_keras_model_of_probabilities_is_evaluated(data):
    images = keras.Input((16, 16, 3))
    outputs = keras.layers.Dense(7, activation="softmax")(keras.layers.Flatten()(images))
    model = keras.Model(images, outputs)
    evaluation = kd.evaluate(model, data, pipeline="python")
    indices = np.flatnonzero(data.labels >= 0)
    prepared = kd.ImageProcessor(16)([data.images[index] for index in indices])
    probabilities = model.predict(keras.ops.convert_to_numpy(prepared), verbose=0)
    labels = data.labels[indices]
    assert evaluation.accuracies["accuracy"] == metrics.accuracy_score(labels, probabilities.argmax(-1))
    confident = probabilities.max(-1)[probabilities.argmax(-1) != labels].max()
    assert evaluation.mistakes[0].probability == pytest.approx(confident, rel=1e-5)
    assert "have no class names" in evaluation.note


def test_top_5_is_left_out_where_it_says_nothing(data):
    images = keras.Input((16, 16, 3))
    model = keras.Model(images, keras.layers.Dense(5)(keras.layers.Flatten()(images)))
    few = ImageData("few", data.images, np.clip(data.labels, -1, 4), NAMES[:5])
    assert list(kd.evaluate(model, few).accuracies) == ["accuracy"]


def test_a_dataset_without_labels_is_refused(data):
    unlabelled = ImageData("noise", data.images, np.full(48, -1), NAMES)
    records = ImageRecords("noise", [(image, None) for image in data.images[:2]], NAMES)
    for one in (unlabelled, records):
        with pytest.raises(ValueError, match="needs labelled images. 'noise' has .* images without a label"):
            kd.evaluate(make_model(), one)


def test_an_image_size_that_the_model_does_not_take_is_refused(data):
    images = keras.Input((16, 16, 3))
    other = keras.Model(images, keras.layers.Dense(7)(keras.layers.Flatten()(images)))
    for model in (make_model(), other):
        with pytest.raises(ValueError, match=r"takes images of 16×16 pixels. Received: image_size=\(24, 24\)"):
            kd.evaluate(model, data, image_size=24)


def test_the_student_of_a_distiller_is_evaluated(data):
    model = make_model()
    found = kd.evaluate(kd.Distiller(model), data)
    assert found.accuracies == kd.evaluate(model, data).accuracies


def test_a_model_without_a_record_is_said_to_be_normalised_by_default(data):
    """A model that scales pixels itself would be evaluated on other images without a word."""
    pixels = keras.Input((16, 16, 3))
    scaled = keras.layers.Flatten(data_format="channels_last")(keras.layers.Rescaling(1 / 255)(pixels))
    model = keras.Model(pixels, keras.layers.Dense(7)(scaled))
    assert "normalised by ImageNet's mean and standard deviation" in kd.evaluate(model, data).note
    found = kd.evaluate(model, data, mean=0, std=1 / 255, pipeline="python")
    assert "normalised" not in found.note
    labelled = np.flatnonzero(data.labels >= 0)
    images = kd.ImageProcessor(16, mean=0, std=1 / 255)([data.images[index] for index in labelled])
    predicted = model.predict(keras.ops.convert_to_numpy(images), verbose=0).argmax(-1)
    assert found.accuracies["accuracy"] == metrics.accuracy_score(data.labels[labelled], predicted)


@pytest.mark.parametrize("given", ["images/", (np.zeros((2, 8, 8, 3)), np.zeros(2)), np.zeros((2, 8, 8, 3))])
def test_data_of_other_kinds_are_refused_with_the_way_to_load_them(given):
    message = f"`data` must be a dataset of `keras_deit.data.load.*ImageData.*Received: {type(given).__name__}"
    with pytest.raises(ValueError, match=message):
        kd.evaluate(make_model(), given)
    with pytest.raises(ValueError, match=message):
        kd.data.InputPipeline(given, image_size=8, batch_size=2)
