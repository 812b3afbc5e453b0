"""The warnings about a teacher that is no better than chance."""

import json
import types
import warnings

import numpy as np
import pytest

import keras_deit as kd
from keras_deit.data import ImageData
from keras_deit.training.resolve import resolve
from keras_deit.training.teachers.chance import warn_if_convnet_at_chance, warn_if_teacher_at_chance

pytestmark = pytest.mark.backend_independent
BARE, KNOWN = types.SimpleNamespace(), types.SimpleNamespace(preprocessing=kd.Preprocessing())
CHANCE = "right on 20.0% of 100 test images, about as often as random predictions would be (20.0% with 5 classes)"


def data_of(num_images=100, num_unlabelled=0):
    labels = np.arange(num_images) % 5
    labels[:num_unlabelled] = -1
    return ImageData("data", np.zeros((num_images, 2, 2, 3), "uint8"), labels, tuple("abcde"))


def warned(function, *arguments):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*arguments)
    assert all(warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


def warned_of_teacher(teacher, model=BARE, accuracy=0.2, data=None, **settings):
    settings = resolve({"variant": "deit_ti", "teacher": str(teacher), **settings})
    return warned(warn_if_teacher_at_chance, accuracy, data or data_of(), settings, model)


@pytest.fixture
def own_run(tmp_path):
    """A function that writes what the run of a teacher leaves, with a summary, and returns its directory."""

    def write(**summary):
        (tmp_path / "student.keras").touch()
        (tmp_path / "student_best.keras").touch()
        (tmp_path / "summary.json").write_text(json.dumps(summary))
        return tmp_path

    return write


def test_a_teacher_that_knows_its_classes_is_not_warned_about():
    assert not warned_of_teacher("teacher.keras", accuracy=0.9)


def test_a_model_that_stores_nothing_may_be_described_wrongly():
    (message,) = warned_of_teacher("teacher.keras")
    assert message.startswith(f"The teacher is {CHANCE}. Likely causes: ")
    causes = ("`teacher_value_range=(0, 255)`", "`teacher_mean`", "`teacher_image_size`", "another order", "too little")
    assert all(cause in message for cause in causes)
    assert "(`class_names` sets the order of the dataset)" in message


def test_a_teacher_that_was_at_chance_in_its_own_run_should_be_trained_longer(own_run):
    (message,) = warned_of_teacher(own_run(student={"accuracy": 0.21}), KNOWN)
    assert message == (
        f"The teacher is {CHANCE}, and on 21.0% in its own run as well. Train the teacher longer, or train without it: "
        "`distillation='none'`."
    )


def test_a_teacher_that_was_good_in_its_own_run_was_trained_on_other_images(own_run):
    (message,) = warned_of_teacher(own_run(student={"accuracy": 1.0}), KNOWN)
    assert message == (
        f"The teacher is {CHANCE}, but on 100.0% in its own run. Likely causes: it was trained on other images or on much "
        "larger ones (`image_size`)."
    )


def test_the_settings_that_replace_what_a_teacher_stores_are_named(own_run):
    directory = own_run(student={"accuracy": 1.0})
    (message,) = warned_of_teacher(directory, KNOWN, teacher_image_size=64, teacher_value_range=(0.0, 255.0))
    assert "; or `teacher_image_size` and `teacher_value_range` should be left out" in message


def test_the_best_epoch_of_a_run_has_an_accuracy_of_its_own(own_run):
    directory = own_run(student={"accuracy": 0.2}, best_epoch={"accuracy": 0.75})
    assert "75.0% in its own run" in warned_of_teacher(directory / "student_best.keras", KNOWN)[0]


@pytest.mark.parametrize("summary", [{}, {"student": None}])
def test_a_run_that_was_interrupted_has_no_accuracy(own_run, summary):
    (message,) = warned_of_teacher(own_run(**summary), KNOWN)
    assert message.startswith(
        f"The teacher is {CHANCE}. Likely causes: it was trained too little; or it was trained on "
    )
    assert "teacher_value_range" not in message


def test_a_damaged_summary_is_no_accuracy(own_run):
    directory = own_run()
    (directory / "summary.json").write_text("{")
    assert "own run" not in warned_of_teacher(directory, KNOWN)[0]


def test_images_without_a_label_do_not_count():
    assert "of 40 test images" in warned_of_teacher("teacher.keras", data=data_of(num_unlabelled=60))[0]
    assert not warned_of_teacher("teacher.keras", accuracy=0.0, data=data_of(num_unlabelled=100))


def test_a_convnet_at_chance_would_be_no_help_as_a_teacher():
    assert not warned(warn_if_convnet_at_chance, 0.9, data_of())
    (message,) = warned(warn_if_convnet_at_chance, 0.2, data_of())
    assert message.startswith(f"The convnet is {CHANCE}. As a teacher it would not help a student. ")
