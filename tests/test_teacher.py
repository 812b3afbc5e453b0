"""The input of a teacher, its outputs, and the models that can be one."""

import re
import types

import keras
import numpy as np
import pytest
from keras import ops

import keras_deit as kd
from keras_deit.choices import APPLICATIONS
from keras_deit.teacher import check_output_kind
from tests.toys import conv_teacher, run, softmax

BACKEND = keras.backend.backend()
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)  # of the student's images
NORMALISATION = {"image_mean": MEAN, "image_std": STD}


def student_images(size=4, batch=3, seed=0):
    """Pixels in 0..1, and the same pixels normalised for the student."""
    pixels = np.random.default_rng(seed).uniform(size=(batch, size, size, 3))
    return pixels, ((pixels - MEAN) / STD).astype("float32")


def pixels_as_logits(images):
    """A model that returns its input as logits."""
    return ops.reshape(images, (ops.shape(images)[0], -1))


def model_input(teacher, images, shape):
    return predict(teacher, images).reshape(len(images), *shape)


def predict(teacher, images):
    return ops.convert_to_numpy(run(lambda images: teacher(images, **NORMALISATION), images))


def linear_model(size=4, num_classes=5, activation=None, channels=3):
    images = keras.Input((size, size, channels))
    return keras.Sequential([images, keras.layers.Flatten(), keras.layers.Dense(num_classes, activation=activation)])


def check(teacher, num_classes=5, size=4):
    return teacher.check(
        (size, size, 3), num_classes, **NORMALISATION, run=lambda function, images, _: run(function, images)
    )


# Its input.


def test_a_bare_model_receives_the_students_images_unchanged():
    _, images = student_images()
    teacher = kd.Teacher.from_bare_model(pixels_as_logits)
    np.testing.assert_array_equal(model_input(teacher, images, (4, 4, 3)), images)


def test_a_teacher_receives_pixels_in_0_to_1_by_default():
    pixels, images = student_images()
    np.testing.assert_allclose(model_input(kd.Teacher(pixels_as_logits), images, (4, 4, 3)), pixels, atol=1e-6)


def test_value_range_then_mean_then_std_are_applied():
    pixels, images = student_images()
    teacher = kd.Teacher(pixels_as_logits, value_range=(-10, 245), mean=(1, 2, 3), std=(50, 60, 70))
    expected = (pixels * 255 - 10 - np.array([1, 2, 3])) / np.array([50, 60, 70])
    np.testing.assert_allclose(model_input(teacher, images, (4, 4, 3)), expected, rtol=1e-5, atol=1e-5)


def test_mean_and_std_may_be_one_number_for_all_channels():
    pixels, images = student_images()
    teacher = kd.Teacher(pixels_as_logits, mean=0.5, std=0.25)
    np.testing.assert_allclose(model_input(teacher, images, (4, 4, 3)), (pixels - 0.5) / 0.25, atol=1e-5)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_images_are_prepared_as_keras_applications_prepares_them(name):
    pixels, images = student_images()
    expected = getattr(keras.applications, name).preprocess_input(pixels * 255, data_format="channels_last")
    teacher = kd.Teacher(pixels_as_logits, preprocessing=name)
    np.testing.assert_allclose(model_input(teacher, images, (4, 4, 3)), expected, atol=1e-4)


def test_each_way_in_which_keras_applications_prepares_images_is_known():
    pixels, images = student_images()
    pixels = pixels * 255
    caffe = pixels[..., ::-1] - (103.939, 116.779, 123.68)
    ways = {
        **dict.fromkeys(("resnet50", "ResNet50", "ResNet152", "VGG16", "vgg19"), caffe),
        **dict.fromkeys(("xception", "MobileNetV2", "ResNet50V2", "NASNetMobile"), pixels / 127.5 - 1),
        "DenseNet121": (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225),
        **dict.fromkeys(
            ("EfficientNetB0", "EfficientNetV2S", "ConvNeXtTiny", "MobileNetV3Small"), pixels
        ),  # in the model
    }
    for name, expected in ways.items():
        received = model_input(kd.Teacher(pixels_as_logits, preprocessing=name), images, (4, 4, 3))
        np.testing.assert_allclose(received, expected, atol=1e-4, err_msg=name)


def test_a_function_prepares_images_after_resizing():
    _, images = student_images()
    teacher = kd.Teacher(
        pixels_as_logits, image_size=2, data_format="channels_first", preprocessing=lambda pixels: 255 - pixels
    )
    plain = kd.Teacher(pixels_as_logits, image_size=2, data_format="channels_first", value_range=(0, 255))
    np.testing.assert_allclose(predict(teacher, images), 255 - predict(plain, images), atol=1e-4)


def test_a_resnet50_as_a_teacher_predicts_as_by_itself():
    model = keras.applications.ResNet50(weights=None, classes=5, input_shape=(32, 32, 3))
    pixels, images = student_images(size=32)
    inputs = keras.applications.resnet50.preprocess_input(pixels.astype("float32") * 255, data_format="channels_last")
    teacher = kd.Teacher(model, preprocessing="resnet50", outputs="probabilities")
    np.testing.assert_allclose(np.exp(predict(teacher, images)), model.predict(inputs, verbose=0), rtol=1e-3, atol=1e-6)


def test_shrinking_averages_over_a_triangle_of_pixels():
    # By a factor of two the weights are 1, 3, 3, 1 eighths; at the border what falls outside is left out.
    rows = np.array([[3, 3, 1, 0], [0, 1, 3, 3]]) / 7
    pixels, images = student_images()
    expected = np.einsum("yh,xw,bhwc->byxc", rows, rows, pixels)
    teacher = kd.Teacher(pixels_as_logits, image_size=2, value_range=(0, 255))
    np.testing.assert_allclose(model_input(teacher, images, (2, 2, 3)), expected * 255, rtol=1e-5)


@pytest.mark.parametrize("image_size", [(7, 5), (4, 6), (3, 9), (12, 12)])
def test_resizing_agrees_with_antialiased_bilinear_resizing_of_keras(image_size):
    pixels, images = student_images(size=6)
    expected = ops.image.resize(pixels.astype("float32"), image_size, antialias=True, data_format="channels_last")
    teacher = kd.Teacher(pixels_as_logits, image_size=image_size)
    np.testing.assert_allclose(
        model_input(teacher, images, (*image_size, 3)), ops.convert_to_numpy(expected), atol=1e-5
    )


def test_resizing_comes_before_the_teachers_own_normalisation():
    _, images = student_images()
    constant = np.zeros_like(images) + images[:, :1, :1]  # one colour, which resizing does not change
    teacher = kd.Teacher(pixels_as_logits, image_size=6, mean=0.1, std=0.3)
    expected = np.broadcast_to((constant[:, :1, :1] * STD + np.array(MEAN) - 0.1) / 0.3, (3, 6, 6, 3))
    np.testing.assert_allclose(model_input(teacher, constant, (6, 6, 3)), expected, atol=1e-5)


def test_images_of_the_right_size_are_not_resized():
    _, images = student_images()
    same = kd.Teacher(pixels_as_logits, image_size=4)
    np.testing.assert_array_equal(predict(same, images), predict(kd.Teacher(pixels_as_logits), images))


def test_a_channels_first_model_receives_channels_first_images():
    pixels, images = student_images()
    teacher = kd.Teacher(pixels_as_logits, data_format="channels_first")
    np.testing.assert_allclose(model_input(teacher, images, (3, 4, 4)), pixels.transpose(0, 3, 1, 2), atol=1e-6)


def test_half_precision_images_are_cast_to_float32():
    _, images = student_images()
    logits = kd.Teacher(pixels_as_logits)(ops.cast(images, "float16"), **NORMALISATION)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"


# Its outputs.


def test_probabilities_become_log_probabilities():
    _, images = student_images()
    model = linear_model(activation="softmax")
    teacher = kd.Teacher(model, outputs="probabilities")
    expected = np.log(model.predict(images * STD + np.array(MEAN), verbose=0))
    np.testing.assert_allclose(predict(teacher, images), expected, rtol=1e-4, atol=1e-5)
    assert check(teacher) is None


def test_outputs_of_a_sigmoid_become_logits():
    _, images = student_images()
    model = linear_model()
    logits = model.predict(images * STD + np.array(MEAN), verbose=0)
    teacher = kd.Teacher(keras.Model(model.inputs, keras.ops.sigmoid(model.outputs[0])), outputs="sigmoid")
    np.testing.assert_allclose(predict(teacher, images), logits, rtol=1e-4, atol=1e-5)
    assert check(teacher) is None
    extreme = kd.Teacher(
        lambda images: ops.convert_to_tensor(np.array([[0.0, 1.0, 1e-12]], "float32")), outputs="sigmoid"
    )
    received = predict(extreme, images)[0]
    assert np.all(np.isfinite(received))
    np.testing.assert_allclose(received[2], np.log(1e-12), rtol=1e-5)
    assert received[0] < received[2]
    assert received[1] > 16


def test_a_probability_of_zero_becomes_a_finite_number():
    teacher = kd.Teacher(lambda images: ops.one_hot(ops.zeros(3, "int32"), 5), outputs="probabilities")
    logits = predict(teacher, student_images()[1])
    assert np.all(np.isfinite(logits))
    np.testing.assert_allclose(softmax(logits), np.eye(5)[[0, 0, 0]], atol=1e-6)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda logits: types.SimpleNamespace(logits=logits),
        lambda logits: {"output_0": logits},
        lambda logits: [logits],
        lambda logits: {"class": logits - 1, "distillation": logits + 1},
    ],
    ids=["attribute", "dictionary", "list", "two heads"],
)
def test_the_logits_are_found_in_the_outputs_of_different_models(wrap):
    pixels, images = student_images()
    teacher = kd.Teacher(lambda images: wrap(pixels_as_logits(images)))
    np.testing.assert_allclose(model_input(teacher, images, (4, 4, 3)), pixels, atol=1e-5)


def test_a_two_headed_deit_predicts_the_mean_of_its_heads():
    deit = kd.DeiT(num_classes=5, image_size=16, patch_size=8, hidden_dim=16, num_layers=1, num_heads=2)
    _, images = student_images(size=16)
    outputs = deit.predict(images, verbose=0)
    received = predict(kd.Teacher(deit, mean=MEAN, std=STD), images)
    np.testing.assert_allclose(received, (outputs["class"] + outputs["distillation"]) / 2, atol=1e-5)


def test_the_model_runs_at_inference():
    model = conv_teacher(num_classes=5, image_shape=(4, 4, 3))
    _, images = student_images()
    before = [ops.convert_to_numpy(variable) for variable in model.variables]
    teacher = kd.Teacher.from_bare_model(model)
    expected = model.predict(images, verbose=0)
    for _ in range(2):  # dropout would differ from call to call
        np.testing.assert_allclose(predict(teacher, images), expected, atol=1e-6)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)


def test_a_model_without_a_training_argument_runs_at_inference():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.body = conv_teacher(num_classes=5, image_shape=(4, 4, 3))

        def call(self, images):
            return self.body(images)

    model = Subclassed()
    _, images = student_images()
    expected = model.body.predict(images, verbose=0)
    np.testing.assert_allclose(predict(kd.Teacher.from_bare_model(model), images), expected, atol=1e-6)


def test_the_model_keeps_its_own_precision_and_its_logits_are_float32():
    model = conv_teacher(num_classes=5, image_shape=(4, 4, 3), dtype="mixed_bfloat16")
    _, images = student_images()
    logits = kd.Teacher.from_bare_model(model)(images, **NORMALISATION)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    own = model(ops.convert_to_tensor(images), training=False)
    assert keras.backend.standardize_dtype(own.dtype) == "bfloat16"
    np.testing.assert_array_equal(ops.convert_to_numpy(logits), ops.convert_to_numpy(ops.cast(own, "float32")))


# Models that can be one.


def test_a_keras_applications_model_is_a_teacher_of_probabilities():
    model = keras.applications.MobileNetV3Small(weights=None, classes=5, input_shape=(32, 32, 3))
    pixels, images = student_images(size=32)
    teacher = kd.Teacher(model, value_range=(0, 255), outputs="probabilities")
    expected = np.log(model.predict(pixels.astype("float32") * 255, verbose=0))
    logits = predict(teacher, images)
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    np.testing.assert_allclose(np.exp(logits).sum(axis=-1), 1, rtol=1e-5)


def test_a_keras_hub_classifier_is_a_teacher():
    keras_hub = pytest.importorskip("keras_hub", reason="KerasHub is optional")
    backbone = keras_hub.models.ViTBackbone(
        image_shape=(16, 16, 3), patch_size=8, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=32
    )
    model = keras_hub.models.ViTImageClassifier(backbone, num_classes=5, preprocessor=None)
    pixels, images = student_images(size=16)
    teacher = kd.Teacher(model)
    check(teacher, size=16)
    expected = model.predict(pixels.astype("float32"), verbose=0)
    np.testing.assert_allclose(predict(teacher, images), expected, atol=1e-5)


@pytest.mark.skipif(BACKEND != "torch", reason="a PyTorch module runs on the PyTorch backend only")
def test_a_pytorch_module_is_a_teacher():
    import torch

    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 6, 3), torch.nn.BatchNorm2d(6), torch.nn.Dropout(0.5), torch.nn.Flatten()
    module = torch.nn.Sequential(*layers, torch.nn.Linear(6 * 2 * 2, 5))
    assert module.training
    pixels, images = student_images()
    teacher = kd.Teacher(module, data_format="channels_first")
    check(teacher)
    assert not module.training
    with torch.no_grad():
        expected = module(torch.tensor(pixels.transpose(0, 3, 1, 2), dtype=torch.float32))
    np.testing.assert_allclose(predict(teacher, images), expected.numpy(), atol=1e-5)
    module.train()  # as another training loop may do
    np.testing.assert_allclose(predict(teacher, images), expected.numpy(), atol=1e-5)
    assert float(module[1].num_batches_tracked) == 0
    assert teacher.variables == []


@pytest.mark.skipif(BACKEND != "torch", reason="a PyTorch module runs on the PyTorch backend only")
@pytest.mark.parametrize(("precision", "tolerance"), [("float16", 2e-3), ("bfloat16", 2e-2), ("float64", 1e-5)])
def test_a_pytorch_module_runs_in_its_own_precision(precision, tolerance):
    import torch

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4 * 4 * 3, 5))
    pixels, images = student_images()
    with torch.no_grad():
        expected = module(torch.tensor(pixels.transpose(0, 3, 1, 2), dtype=torch.float32)).numpy()
    teacher = kd.Teacher(module.to(getattr(torch, precision)), data_format="channels_first")
    check(teacher)
    np.testing.assert_allclose(predict(teacher, images), expected, atol=tolerance)


def test_a_keras_file_is_a_teacher(user_home):
    model = linear_model()
    model.save(user_home / "teacher.keras")
    _, images = student_images()
    for path in (user_home / "teacher.keras", str(user_home / "teacher.keras"), "~/teacher.keras"):
        teacher = kd.Teacher(path)
        check(teacher)
        np.testing.assert_allclose(predict(teacher, images), predict(kd.Teacher(model), images), atol=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a SavedModel runs on the TensorFlow backend only")
def test_a_saved_model_is_a_teacher(tmp_path):
    model = linear_model()
    model.export(str(tmp_path / "teacher"), verbose=False)
    _, images = student_images()
    teacher = kd.Teacher(tmp_path / "teacher")
    check(teacher)
    np.testing.assert_allclose(predict(teacher, images), predict(kd.Teacher(model), images), atol=1e-6)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow reads it")
def test_a_saved_model_raises_on_another_backend(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(
        ValueError, match=f"TensorFlow backend only, and this is '{BACKEND}'. Set KERAS_BACKEND=tensorflow"
    ):
        kd.Teacher(tmp_path)


# Errors.


def test_a_path_that_is_not_there_raises(tmp_path):
    with pytest.raises(ValueError, match=r"no teacher at '.*nothing.keras': no such file"):
        kd.Teacher(tmp_path / "nothing.keras")
    with pytest.raises(ValueError, match="holds no SavedModel"):
        kd.Teacher(tmp_path)


def test_another_number_of_classes_raises():
    with pytest.raises(ValueError, match=r"student's 7 classes: \(batch, 7\). Received: shape=\(4, 5\)"):
        check(kd.Teacher(linear_model()), num_classes=7)


GREY = {"image_shape": (4, 4, 1), "num_classes": 5}
ONE_NUMBER = {"image_mean": 0.5, "image_std": 0.25}


@pytest.mark.parametrize(
    ("arguments", "normalisation", "message"),
    [
        ({}, NORMALISATION, "`image_mean` and `image_std` must be one number.*images of the student have 1 channel[.]"),
        (
            {"mean": MEAN},
            ONE_NUMBER,
            "`mean` must be one number, or one for each channel. The images of the teacher have 1",
        ),
        ({"preprocessing": "resnet50"}, ONE_NUMBER, r"take images of 3 channels.*Received: images of 1 channel and"),
    ],
)
def test_a_normalisation_of_three_channels_does_not_colour_grey_images(arguments, normalisation, message):
    with pytest.raises(ValueError, match=message):
        kd.Teacher(pixels_as_logits, **arguments).check(**GREY, **normalisation)


@pytest.mark.parametrize(
    ("taken", "given", "conversion"),
    [
        (3, 1, lambda images: keras.ops.repeat(images, 3, axis=-1)),
        (4, 3, lambda images: keras.ops.pad(images, ((0, 0), (0, 0), (0, 0), (0, 1)))),
        (1, 2, lambda images: images[..., :1]),
    ],
)
def test_a_teacher_of_another_number_of_channels_is_wrapped(taken, given, conversion):
    model = linear_model(channels=taken)
    shape = {"image_shape": (4, 4, given), "num_classes": 5}
    with pytest.raises(
        ValueError, match=f"takes images of {taken} channels?, and the student's have {given}[.]"
    ) as error:
        kd.Teacher(model).check(**shape, **ONE_NUMBER)
    code = re.search(r"`(images = .*); wrapped = (.*)`", str(error.value))
    namespace = {"keras": keras, "model": model, "convert": conversion}
    exec(code[1], namespace)
    wrapped = eval(code[2], namespace)
    assert kd.Teacher(wrapped).check(**shape, **ONE_NUMBER) is None
    pixels = np.random.default_rng(0).uniform(size=(2, 4, 4, given)).astype("float32")
    expected = model.predict(ops.convert_to_numpy(conversion(pixels)), verbose=0)
    np.testing.assert_allclose(wrapped.predict(pixels, verbose=0), expected, rtol=1e-5)


# A teacher of grey images.


def grey_logits(model, grey):
    """The outputs of a linear model for float64 images `(batch, height, width)`, in NumPy."""
    return grey.reshape(len(grey), -1) @ model.get_weights()[0].astype("float64")


def test_a_teacher_of_one_channel_receives_the_luma_before_its_own_normalisation():
    pixels, images = student_images()
    model = linear_model(channels=1)
    teacher = kd.Teacher(model, value_range=(0, 255), mean=100.0, std=50.0)
    assert check(teacher) is None
    luma = pixels @ (0.299, 0.587, 0.114)  # ITU-R 601
    expected = grey_logits(model, (luma * 255 - 100) / 50)
    np.testing.assert_allclose(predict(teacher, images), expected, rtol=1e-4, atol=1e-4)


def test_the_luma_is_that_of_pillow():
    pillow = pytest.importorskip("PIL.Image", reason="Pillow computes the expected values")
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3), "uint8")
    read = np.asarray(pillow.fromarray(pixels[0]).convert("L"))
    images = ((pixels / 255 - MEAN) / STD).astype("float32")
    model = linear_model(num_classes=16, channels=1)
    model.set_weights([np.eye(16), np.zeros(16)])
    received = predict(kd.Teacher(model, value_range=(0, 255)), images).reshape(4, 4)
    assert np.abs(received - read).max() <= 0.51  # Pillow rounds


def test_a_teacher_of_one_channel_receives_the_pixels_of_grey_files():
    grey = np.random.default_rng(0).integers(0, 256, (2, 8, 8)).astype("float64")
    images = ((grey[..., None] / 255 - MEAN) / STD).astype("float32")  # three equal channels, normalised
    model = linear_model(channels=1)
    teacher = kd.Teacher(model, image_size=4)
    halves = np.stack([ops.convert_to_numpy(predict_shrunk(one)) for one in grey])
    np.testing.assert_allclose(predict(teacher, images), grey_logits(model, halves / 255), rtol=1e-4, atol=1e-4)


def predict_shrunk(pixels):
    """Shrinks an image `(8, 8)` to `(4, 4)` by Keras."""
    return ops.image.resize(pixels[..., None], (4, 4), antialias=True, data_format="channels_last")[..., 0]


def test_a_function_gets_the_three_channels_for_a_teacher_of_one():
    pixels, images = student_images()
    model = linear_model(channels=1)
    teacher = kd.Teacher(model, preprocessing=lambda pixels: pixels[..., :1])
    assert check(teacher) is None
    np.testing.assert_allclose(predict(teacher, images), grey_logits(model, pixels[..., 0] * 255), rtol=1e-4, atol=1e-3)


def test_a_teacher_of_one_channel_is_described():
    model = linear_model(channels=1)
    with pytest.raises(ValueError, match=r"of 1 channel, and the student's have 3. Pass `keras_deit.Teacher\(model\)`"):
        check(kd.Teacher.from_bare_model(model))
    with pytest.raises(
        ValueError, match=r"`mean` must be one number.*images of the teacher have 1 channel. Received: mean"
    ):
        check(kd.Teacher(model, mean=MEAN))
    with pytest.raises(ValueError, match=r"keras.Model\(images, model\(keras.ops.image.rgb_to_grayscale\(images\)\)\)"):
        check(kd.Teacher(model, preprocessing="mobilenet"))


def test_a_function_makes_coloured_images_of_grey_ones():
    pixels = np.random.default_rng(0).uniform(size=(2, 4, 4, 1))
    model, grey = linear_model(), {"image_mean": 0.5, "image_std": 0.25}
    teacher = kd.Teacher(model, preprocessing=lambda pixels: ops.repeat(pixels, 3, axis=-1) / 255)
    assert teacher.check(**GREY, **grey) is None
    received = teacher(ops.convert_to_tensor(((pixels - 0.5) / 0.25).astype("float32")), **grey)
    expected = np.repeat(pixels, 3, axis=-1).reshape(2, -1) @ model.get_weights()[0].astype("float64")
    np.testing.assert_allclose(ops.convert_to_numpy(received), expected, rtol=1e-5, atol=1e-5)


def test_probabilities_declared_as_logits_raise():
    with pytest.raises(
        ValueError,
        match=r"look like probabilities.*sum to \[1.0, 1.0\]. Pass `keras_deit.Teacher\(model, outputs='probabilities'",
    ):
        check(kd.Teacher(linear_model(activation="softmax")))


def test_logits_declared_as_probabilities_raise():
    with pytest.raises(
        ValueError, match="declared to return probabilities, but its outputs look like logits: they lie between"
    ):
        check(kd.Teacher(linear_model(), outputs="probabilities"))


SOFTMAX = "declared to return {}, but its outputs look like probabilities.*Pass .*outputs='probabilities'"
SIGMOID = "declared to return {}, but its outputs look like the outputs of a sigmoid.*pass .*outputs='sigmoid'"
LOGITS = "declared to return {}, but its outputs look like logits.*Pass `outputs='logits'`"


@pytest.mark.parametrize(
    ("activation", "declared", "message"),
    [
        ("softmax", "logits", SOFTMAX),
        ("softmax", "sigmoid", SOFTMAX.replace("{}", "the outputs of a sigmoid")),
        ("sigmoid", "logits", SIGMOID),
        ("sigmoid", "probabilities", SIGMOID),
        (None, "probabilities", LOGITS),
        (None, "sigmoid", LOGITS.replace("{}", "the outputs of a sigmoid")),
    ],
)
@pytest.mark.parametrize(
    "wrap", [lambda model: model, lambda model: lambda images: model(images)], ids=["model", "callable"]
)
def test_outputs_of_another_kind_than_declared_raise_with_the_right_advice(wrap, activation, declared, message):
    with pytest.raises(ValueError, match=message.format(declared)):
        check(kd.Teacher(wrap(linear_model(activation=activation)), outputs=declared))


def test_a_teacher_that_ends_in_a_relu_is_questioned():
    with pytest.warns(UserWarning, match="some are exactly 0, as behind a ReLU.*remove the activation"):
        check(kd.Teacher(lambda images: ops.relu(linear_model()(images) * 50)))


def test_logits_in_0_to_1_of_a_model_without_last_activation_pass():
    model = linear_model()
    model.layers[-1].set_weights([np.zeros((48, 5)), np.linspace(0.1, 0.9, 5)])
    assert check(kd.Teacher(model)) is None
    nested = keras.Sequential([keras.Input((4, 4, 3)), model])
    assert check(kd.Teacher(nested)) is None
    with pytest.raises(ValueError, match="If they are logits nevertheless, subtract the same number"):
        check(kd.Teacher(lambda images: model(images)))
    assert check(kd.Teacher(lambda images: model(images) - 1)) is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_raise(value):
    with pytest.raises(ValueError, match="must be finite. Received: NaN or infinity.*weights were loaded"):
        check(kd.Teacher(lambda images: ops.full((ops.shape(images)[0], 5), value)))


@pytest.mark.parametrize("structure", [dict, lambda pairs: [logits for _, logits in pairs]], ids=["dictionary", "list"])
def test_several_outputs_raise(structure):
    def two_outputs(images):
        logits = pixels_as_logits(images)[:, :5]
        return structure([("coarse", logits), ("fine", logits)])

    with pytest.raises(ValueError, match="several outputs.*Wrap it in a callable"):
        check(kd.Teacher(two_outputs))


def test_feature_maps_instead_of_logits_raise():
    with pytest.raises(ValueError, match=r"Received: shape=\(4, 4, 4, 3\)"):
        check(kd.Teacher(lambda images: images))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"outputs": "labels"},
            r"`outputs` must be one of \('logits', 'probabilities', 'sigmoid'\). Received: outputs='labels'",
        ),
        ({"data_format": "NCHW"}, "`data_format` must be one of"),
        ({"value_range": (1, 0)}, r"`value_range` must be \(low, high\). Received: value_range=\(1, 0\)"),
        ({"std": (0.2, 0.0, 0.2)}, "`std` must be positive"),
        ({"mean": kd.IMAGENET_MEAN, "value_range": (0, 10), "std": 21.0}, "`std` must be from 0.0391 to 20"),
        ({"image_size": 0}, "`image_size` must be"),
        ({"preprocessing": "tenser"}, "a name of keras.applications: .*resnet50.*Received: preprocessing='tenser'"),
        ({"preprocessing": "vgg16", "mean": 0.5}, "`preprocessing` replaces `value_range`, `mean` and `std`.*mean=0.5"),
        ({"preprocessing": "vgg16", "value_range": (0, 255)}, "`preprocessing` replaces"),
        ({"image_size": (16, 16, 3)}, "`image_size` must be"),
    ],
)
def test_an_argument_out_of_range_raises(arguments, message):
    with pytest.raises(ValueError, match=message):
        kd.Teacher(pixels_as_logits, **arguments)


def test_what_cannot_be_called_raises():
    with pytest.raises(ValueError, match="`model` must be a Keras model, a callable or the path of a saved one"):
        kd.Teacher(3)


def test_attention_of_a_model_that_has_none_raises():
    with pytest.raises(ValueError, match="needs a transformer teacher.*Received: Sequential"):
        kd.Teacher(linear_model()).check((4, 4, 3), 5, **NORMALISATION, attention=True)


# The record of a model of this package, and the names of its classes.


def recorded_teacher(**options):
    """A DeiT that keeps its normalisation and the names of its classes."""
    shape = dict(image_size=8, patch_size=4, hidden_dim=8, num_layers=1, num_heads=2, distilled=False)
    preprocessing = {"mean": (0.5, 0.4, 0.3), "std": (0.1, 0.2, 0.3)}
    deit = kd.DeiT(num_classes=3, **shape, class_names=("a", "b", "c"), preprocessing=preprocessing, **options)
    head = deit.get_layer("class_head")
    head.set_weights([np.random.default_rng(0).normal(size=(8, 3)), np.zeros(3)])
    return deit


@pytest.mark.parametrize("make", [kd.Teacher, kd.Teacher.from_bare_model])
def test_a_model_with_a_record_receives_the_images_that_it_was_trained_on(make):
    pixels, images = student_images(size=8)
    deit = recorded_teacher()
    expected = deit.predict(((pixels - (0.5, 0.4, 0.3)) / (0.1, 0.2, 0.3)).astype("float32"), verbose=0)["class"]
    np.testing.assert_allclose(predict(make(deit), images), expected, atol=1e-4)
    assert make(deit).image_size == (8, 8)
    plain = deit.predict(pixels.astype("float32"), verbose=0)["class"]
    np.testing.assert_allclose(predict(kd.Teacher(deit, mean=0, std=1), images), plain, atol=1e-4)  # said otherwise


@pytest.mark.parametrize("make", [kd.Teacher, kd.Teacher.from_bare_model])
def test_a_convnet_receives_images_of_its_recorded_size(make):
    pixels, images = student_images(size=8)
    record = kd.Preprocessing(MEAN, STD, image_size=16)
    convnet = kd.RegNetY(widths=(8,), depths=(1,), group_width=8, num_classes=3, preprocessing=record)
    resized = ops.image.resize(pixels.astype("float32"), (16, 16), data_format="channels_last")
    expected = convnet.predict((ops.convert_to_numpy(resized) - np.float32(MEAN)) / np.float32(STD), verbose=0)
    np.testing.assert_allclose(predict(make(convnet), images), expected, atol=1e-4)
    assert kd.Teacher(convnet, image_size=8).image_size == (8, 8)


def test_a_bare_model_of_the_students_normalisation_receives_its_images_to_the_bit():
    _, images = student_images(size=8)
    deit = recorded_teacher()
    deit.preprocessing = kd.Preprocessing(MEAN, STD)
    teacher = kd.Teacher.from_bare_model(deit)
    np.testing.assert_array_equal(ops.convert_to_numpy(teacher._preprocess(images, MEAN, STD)), images)


def test_classes_in_another_order_are_reordered_and_others_refused():
    _, images = student_images(size=8)
    teacher = kd.Teacher(recorded_teacher())
    before = predict(teacher, images)
    with pytest.warns(
        UserWarning, match=r"another order \(teacher: a, b, c; student: c, a, b\): its outputs are reordered"
    ):
        reordered = teacher.match_classes(("c", "a", "b"))
    np.testing.assert_allclose(predict(reordered, images), before[:, [2, 0, 1]], atol=1e-6)
    with pytest.raises(
        ValueError, match=r"must be those of the student. Received: other names \(teacher: a, b, c; student"
    ):
        teacher.match_classes(("a", "b", "d"))
    for unchanged in (teacher, reordered.match_classes(None)):
        np.testing.assert_allclose(predict(unchanged, images), before, atol=1e-6)


def test_a_distiller_matches_the_classes_of_teacher_and_student():
    shape = dict(image_size=8, patch_size=4, hidden_dim=8, num_layers=1, num_heads=2)
    student = kd.DeiT(num_classes=3, **shape, class_names=("b", "c", "a"))
    with pytest.warns(UserWarning, match="its outputs are reordered"):
        distiller = kd.Distiller(student, recorded_teacher())
    assert distiller.teacher.class_positions.tolist() == [1, 2, 0]
    other = kd.DeiT(num_classes=3, **shape, class_names=("b", "c", "z"))
    with pytest.raises(ValueError, match="The teacher's classes must be those of the student"):
        kd.Distiller(other, recorded_teacher())


def test_other_names_of_the_same_classes_are_declared():
    _, images = student_images(size=8)
    model = recorded_teacher()
    expected = predict(kd.Teacher(model), images)
    shape = dict(image_size=8, patch_size=4, hidden_dim=8, num_layers=1, num_heads=2)
    student = kd.DeiT(num_classes=3, **shape, class_names=("ein", "anderer", "name"))
    with pytest.raises(ValueError, match=r"pass `keras_deit.Teacher\(model, same_classes=True\)`"):
        kd.Distiller(student, model)
    teacher = kd.Distiller(student, kd.Teacher(model, same_classes=True)).teacher
    np.testing.assert_array_equal(predict(teacher, images), expected)


def test_a_given_value_range_replaces_the_record():
    pixels, images = student_images(size=8)
    deit = recorded_teacher()
    plain = deit.predict(pixels.astype("float32"), verbose=0)["class"]
    np.testing.assert_allclose(predict(kd.Teacher(deit, value_range=(0, 1)), images), plain, atol=1e-4)


@pytest.mark.parametrize(
    "outputs",
    [
        [[0.5, 0.5]] * 4,  # two classes of a fresh model
        [[0.502, 0.494], [0.499, 0.501], [0.5, 0.503], [0.498, 0.497]],  # unsure
        [[0.0, 0.0, 0.0]] * 4,  # saturated in half precision: no class
        [[0.9], [0.2], [0.1], [1.0]],
    ],
)
def test_sigmoids_that_look_like_other_outputs_are_believed(outputs):
    check_output_kind(np.array(outputs, "float32"), "sigmoid")


def test_a_softmax_of_two_classes_is_no_sigmoid():
    with pytest.raises(ValueError, match="look like probabilities"):
        check_output_kind(np.array([[0.25, 0.75], [0.6, 0.4]], "float32"), "sigmoid")


def test_students_with_other_orders_share_a_teacher():
    teacher = kd.Teacher(recorded_teacher())
    shape = dict(image_size=8, patch_size=4, hidden_dim=8, num_layers=1, num_heads=2)
    first = kd.Distiller(kd.DeiT(num_classes=3, **shape, class_names=("a", "b", "c")), teacher)
    assert first.teacher is teacher
    with pytest.warns(UserWarning, match="its outputs are reordered"):
        second = kd.Distiller(kd.DeiT(num_classes=3, **shape, class_names=("b", "c", "a")), teacher)
    third = kd.Distiller(kd.DeiT(num_classes=3, **shape, class_names=("a", "b", "c")), second.teacher)
    _, images = student_images(size=8)
    expected = predict(teacher, images)
    np.testing.assert_array_equal(predict(first.teacher, images), expected)
    np.testing.assert_array_equal(predict(second.teacher, images), expected[:, [1, 2, 0]])
    np.testing.assert_array_equal(predict(third.teacher, images), expected)
    assert second.teacher.model is teacher.model
