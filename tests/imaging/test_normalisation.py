"""The check of a normalisation, and the places where one enters."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.imaging.normalisation import check_normalisation, of_three_channels
from keras_deit.training.resolve import resolve

OF_255 = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}  # ImageNet's, as mmdetection gives them


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("mean", "std", "value_range"),
    [
        (kd.IMAGENET_MEAN, kd.IMAGENET_STD, (0, 1)),
        (np.array(kd.IMAGENET_MEAN), np.array(kd.IMAGENET_STD), (0, 1)),
        (0, 1, (0, 1)),
        (0.0, 1 / 255, (0, 1)),
        (0.5, 0.5, (-1, 1)),
        (None, None, (0, 255)),
        (127.5, 127.5, (0, 255)),
        (0, 255, (0, 255)),
        (0, 256, (0, 255)),  # x / 256
        (128, 128, (0, 255)),
        (*OF_255.values(), (0, 255)),
    ],
)
def test_usual_normalisations_pass(mean, std, value_range):
    check_normalisation(mean, std, value_range)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("mean", "std", "value_range", "message"),
    [
        (*OF_255.values(), (0, 1), r"`mean` must lie in 0..1, .*Received: mean=\(123.675.*Divide both by 255"),
        (0, 255, (0, 1), "`std` must be from 0.00391 to 2, .*Received: std=255. Divide both by 255"),
        (127.5, 127.5, (-1, 1), "`mean` must lie in -1..1.*Divide both by 255"),
        ((0.4, 1.2, 0.4), None, (0, 1), "`mean` must lie"),
        (kd.IMAGENET_MEAN, kd.IMAGENET_STD, (0, 255), "`std` must be from 0.996 to 510, .*Multiply both by 255"),
        (0, float("nan"), (0, 1), "`std` must be positive"),
        (float("nan"), 1, (0, 1), "`mean` must lie in 0..1"),
        (0, -1, (0, 1), "`std` must be positive"),
    ],
)
def test_values_of_another_range_are_refused(mean, std, value_range, message):
    with pytest.raises(ValueError, match=message):
        check_normalisation(mean, std, value_range)


def test_values_of_another_range_are_refused_wherever_they_enter():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    data = kd.data.ImageData("mine", np.zeros((4, 8, 8, 3), "uint8"), [0, 1, 0, 1], ("a", "b"))
    of_student = {f"image_{name}": value for name, value in OF_255.items()}
    of_teacher = {f"teacher_{name}": value for name, value in OF_255.items()}
    for refused, message in (
        (lambda: kd.ImageProcessor(8, **OF_255), r"pixels in 0..255\."),
        (lambda: kd.data.InputPipeline(data, image_size=8, **OF_255), r"pixels in 0..255\."),
        (lambda: kd.Teacher(model, **OF_255), "0..255, or give `value_range`"),
        (lambda: kd.Distiller(model, model, **of_student), "`image_mean` must lie in 0..1"),
        (
            lambda: resolve({"variant": "deit_ti", "teacher": "a.keras", **of_teacher}),
            "`teacher_mean` must lie.* or give `teacher_value_range`",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            refused()


def test_one_number_stands_for_three_channels():
    assert of_three_channels("std", 0.5) == of_three_channels("std", [0.5]) == (0.5, 0.5, 0.5)
    assert of_three_channels("std", np.array([0.1, 0.2, 0.3])) == (0.1, 0.2, 0.3)
    with pytest.raises(ValueError, match="`std` must be one number, or one for each of three channels"):
        of_three_channels("std", (0.1, 0.2))
