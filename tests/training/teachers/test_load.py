"""Loading the teacher of a run."""

import re

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.training.resolve import resolve
from keras_deit.training.teachers.load import load_teacher, naming_settings

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype("float32")
IMAGES = ((PIXELS / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD).astype("float32")  # as the student receives them


def settings_of(teacher, **settings):
    return resolve({"variant": "deit_ti", "teacher": str(teacher), **settings})


@pytest.fixture
def linear(tmp_path):
    """A linear teacher: its path, and the function of its own input in NumPy."""
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
    model.save(tmp_path / "teacher.keras")
    kernel, bias = model.get_weights()
    return tmp_path / "teacher.keras", lambda inputs: inputs.reshape(len(inputs), -1) @ kernel + bias


@pytest.mark.parametrize(
    ("settings", "inputs"),
    [
        ({}, IMAGES),
        ({"teacher_value_range": (0.0, 255.0), "teacher_mean": (100.0,)}, PIXELS - 100),
        ({"teacher_value_range": (-1.0, 1.0)}, PIXELS / 127.5 - 1),
        ({"teacher_mean": (0.5,), "teacher_std": (0.25,)}, (PIXELS / 255 - 0.5) / 0.25),
        ({"teacher_preprocessing": "resnet50"}, PIXELS[..., ::-1] - (103.939, 116.779, 123.68)),
    ],
    ids=["the student's", "pixels less 100", "from -1 to 1", "mean and std", "as for ResNet50"],
)
def test_a_saved_model_receives_images_with_its_own_normalisation(linear, settings, inputs):
    path, logits = linear
    teacher = load_teacher(settings_of(path, **settings), num_classes=10)
    outputs = keras.ops.convert_to_numpy(teacher(IMAGES, kd.IMAGENET_MEAN, kd.IMAGENET_STD))
    np.testing.assert_allclose(outputs, logits(inputs), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "high"), [({}, 1), ({"teacher_value_range": (0.0, 255.0)}, 255)], ids=["default", "0 to 255"]
)
def test_a_saved_model_of_one_channel_receives_grey_pixels(tmp_path, settings, high):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    model.save(tmp_path / "teacher.keras")
    teacher = load_teacher(settings_of(tmp_path / "teacher.keras", **settings), num_classes=10)
    outputs = keras.ops.convert_to_numpy(teacher(IMAGES, kd.IMAGENET_MEAN, kd.IMAGENET_STD))
    grey = (PIXELS @ (0.299, 0.587, 0.114)).reshape(4, -1) / 255 * high
    np.testing.assert_allclose(outputs, grey @ model.get_weights()[0], rtol=1e-3, atol=1e-3)


def test_weights_receive_images_of_their_own_size(tmp_path):
    pytest.importorskip("safetensors", reason="the weights are in its format")
    model = kd.DeiT.from_variant("deit_ti", num_classes=10, num_layers=1, image_size=32)
    file = kd.weights.to_timm(model, tmp_path / "model.safetensors")
    teacher = load_teacher(settings_of(file), num_classes=10)
    assert teacher.image_size == (32, 32)
    assert load_teacher(settings_of(file, teacher_image_size=64), num_classes=10).image_size == (64, 64)


def test_a_convnet_from_a_run_receives_images_of_the_size_of_its_training(tmp_path):
    record = kd.Preprocessing(image_size=64)
    convnet = kd.RegNetY(widths=(8,), depths=(1,), group_width=8, num_classes=10, preprocessing=record)
    convnet.save(tmp_path / "student.keras")
    assert load_teacher(settings_of(tmp_path), num_classes=10).image_size == (64, 64)
    assert load_teacher(settings_of(tmp_path, teacher_image_size=32), num_classes=10).image_size == (32, 32)


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("regnety_160", "has the 1,000 classes of ImageNet, and the dataset 'digits' has 10"),
        (
            "regnety_160",
            "keras-deit train --variant regnety_160 --weights regnety_160 --dataset digits --recipe transfer_convnet "
            "--output-dir runs/teacher",
        ),
        (
            "deit3_small_patch16_224",
            "--variant deit3_s --weights deit3_small_patch16_224 --dataset digits --recipe transfer ",
        ),
        ("regnety_16", "Similar presets: regnety_160"),
        ("no/such.keras", "There is no file 'no/such.keras'"),
        ("no/such.safetensors", "There is no file"),
    ],
)
def test_a_teacher_that_does_not_exist_or_fit_is_refused(teacher, message):
    with pytest.raises(ValueError, match=message):
        load_teacher(settings_of(teacher), num_classes=10)


def test_a_saved_student_receives_the_images_that_it_was_trained_on(tmp_path):
    record = {"mean": (0.5, 0.4, 0.3), "std": (0.1, 0.2, 0.3)}
    model = kd.DeiT.from_variant(
        "deit_ti", num_classes=10, num_layers=1, image_size=8, patch_size=4, preprocessing=record
    )
    rng = np.random.default_rng(0)
    for head in ("class_head", "distillation_head"):
        model.get_layer(head).set_weights([rng.normal(size=(192, 10)), np.zeros(10)])
    model.save(tmp_path / "teacher.keras")
    expected = model.predict((PIXELS / 255 - record["mean"]) / record["std"], verbose=0)
    teacher = load_teacher(settings_of(tmp_path / "teacher.keras"), num_classes=10)
    outputs = keras.ops.convert_to_numpy(teacher(IMAGES, kd.IMAGENET_MEAN, kd.IMAGENET_STD))
    np.testing.assert_allclose(outputs, (expected["class"] + expected["distillation"]) / 2, atol=1e-4)


def test_another_number_of_classes_is_refused_with_the_classes_of_the_dataset():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    message = (
        "The teacher's outputs must cover the dataset's 3 classes: bag, sneaker, sneeker. Received: shape=(4, 2). A "
        "misspelt folder or label makes a class of its own: give it the name of the class that is meant. If all these "
        "classes are meant, fine-tune the teacher on the dataset."
    )
    with pytest.raises(ValueError, match=re.escape(message)), naming_settings(("bag", "sneaker", "sneeker")):
        kd.Teacher(model).check((8, 8, 3), 3, image_mean=0.5, image_std=0.5)


def test_classes_of_other_names_are_those_of_the_dataset_if_the_settings_say_so(tmp_path):
    names = [f"Ziffer {digit}" for digit in range(10)]
    kd.DeiT.from_variant("deit_ti", num_classes=10, num_layers=1, image_size=32, class_names=names).save(
        tmp_path / "model.keras"
    )
    ours = [f"digit {digit}" for digit in range(10)]
    with pytest.raises(ValueError, match="pass `teacher_same_classes=True`"), naming_settings():
        load_teacher(settings_of(tmp_path / "model.keras"), num_classes=10).match_classes(ours)
    settings = settings_of(tmp_path / "model.keras", teacher_same_classes=True)
    load_teacher(settings, num_classes=10).match_classes(ours)
    with pytest.raises(ValueError, match="`teacher_same_classes` describes a teacher of your own"):
        resolve({"variant": "deit_ti", "dataset": "digits", "teacher_same_classes": True})
