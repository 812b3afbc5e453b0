"""What a run's report shows of the student, beside predictions by hand."""

import keras
import numpy as np
import pytest

from keras_deit.evaluation.evaluate import UnlabelledError
from keras_deit.report.findings import MAX_MISTAKES, Examiner
from tests.report.students import NAMES, make_data, make_student

pytest.importorskip("tqdm", reason="the progress bar")
pytest.importorskip("PIL.Image", reason="Pillow resizes the images")


@pytest.fixture(scope="module")
def student():
    return make_student()


@pytest.fixture(scope="module")
def predicted(student):
    """The fused logits of all images, by the image processor."""
    logits = student.predict(student.image_processor()(make_data().images), verbose=0)
    return (logits["class"] + logits["distillation"]) / 2, {name: values.argmax(-1) for name, values in logits.items()}


def teacher(images):
    """Always predicts the third class."""
    return np.tile(np.array([[0.0, 1.0, 3.0]], "float32"), (len(images), 1))


def test_the_most_confident_mistakes_come_first_with_the_teachers_opinion(student, predicted):
    data = make_data()
    found = Examiner(student, data, teacher=teacher).findings()
    logits = predicted[0].astype("float64")
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    wrong = [index for index in range(40) if data.labels[index] not in (-1, logits[index].argmax())]
    wrong.sort(key=lambda index: -probabilities[index].max())
    assert len(wrong) > 5
    shown = found.mistakes
    assert [mistake.image for mistake in shown] == [f"image {index} of '<noise>'" for index in wrong[:MAX_MISTAKES]]
    np.testing.assert_allclose(
        [one.probability for one in shown], probabilities[wrong].max(-1)[:MAX_MISTAKES], atol=1e-5
    )
    for mistake, index in zip(shown, wrong, strict=False):
        assert (mistake.true, mistake.predicted) == (NAMES[data.labels[index]], NAMES[logits[index].argmax()])
        assert (mistake.teacher, round(mistake.teacher_probability, 4)) == ("cat", 0.8438)  # e³ / (1 + e + e³)
        np.testing.assert_allclose(mistake.pixels, data.images[index] / 255, atol=1e-6)
    assert found.evaluation.accuracies["teacher_accuracy"] == pytest.approx(1 / 3)


def test_disagreement_is_the_fraction_of_different_classes(student, predicted):
    found = Examiner(student, make_data(), teacher=teacher).findings()
    labelled = make_data().labels >= 0
    classes = {"fused": predicted[0].argmax(-1), **predicted[1], "teacher": np.full(40, 2)}
    names, rates = found.disagreement
    assert set(names) == set(classes)
    expected = [[np.mean((classes[one] != classes[other])[labelled]) for other in names] for one in names]
    np.testing.assert_allclose(rates, expected)


def test_a_limit_takes_images_at_equal_distances_which_keep_their_names(student, predicted):
    labels = (predicted[0].argmax(-1) + 1) % 3  # all predictions are mistakes
    found = Examiner(student, make_data(labels), max_images=5).findings()
    assert (found.evaluation.num_images, found.num_candidates) == (5, 40)
    assert {mistake.image for mistake in found.mistakes} == {
        f"image {index} of '<noise>'" for index in (0, 10, 20, 29, 39)
    }
    images = {f"image {index} of '<noise>'": image / 255 for index, image in enumerate(make_data(labels).images)}
    for mistake in found.mistakes:
        np.testing.assert_allclose(mistake.pixels, images[mistake.image], atol=1e-6)


@pytest.mark.eager
def test_one_head_without_a_teacher_has_no_disagreement():
    found = Examiner(make_student(distilled=False), make_data()).findings()
    assert found.disagreement is None
    assert {mistake.teacher for mistake in found.mistakes} == {None}


def test_images_without_labels_are_refused(student):
    with pytest.raises(UnlabelledError):
        Examiner(student, make_data([-1, -1]))


@pytest.mark.eager
def test_another_model_with_one_output_is_examined():
    convnet = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    found = Examiner(convnet, make_data()).findings()
    assert found.evaluation.confusion.sum() == 30
