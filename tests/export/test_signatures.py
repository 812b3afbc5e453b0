"""The signatures of a SavedModel for serving."""

import json

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.export import to_saved_model
from keras_deit.export.exported_model import ExportedModel
from keras_deit.export.signatures import is_rgb_classifier, signatures
from tests.export.image_files import encoded, photograph, readable
from tests.export.students import CLASS_NAMES, images, needs_tensorflow, student, tensorflow_only


def load(path):
    import tensorflow as tf

    return tf.saved_model.load(str(path))


def probabilities_of(model, files):
    """Probabilities of all classes, as `keras-deit predict` computes them."""
    logits = kd.DeiTClassifier(model)(model.image_processor()(files))
    return keras.ops.convert_to_numpy(keras.ops.softmax(logits))


@pytest.fixture(scope="module")
def of_pixels(tmp_path_factory):
    """A student with one token, and its SavedModel of pixels, which is version 1 of a model."""
    model = student(num_layers=1, distilled=False, multi_label=True, preprocessing={"interpolation": "nearest"})
    directory = tmp_path_factory.mktemp("model")
    path = to_saved_model(model, directory, inputs="pixels", top=None, versioned=True)
    assert path == directory / "1"
    return model, load(path), path


@needs_tensorflow
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_image_files_become_the_classes_that_predict_names(exported):
    model, directory, _ = exported
    files = list(readable().values())
    loaded = load(directory / "saved_model")
    answer = {name: value.numpy() for name, value in loaded.signatures["serve_bytes"](image_bytes=files).items()}
    probabilities = probabilities_of(model, files)
    order = np.argsort(-probabilities)[:, :5]
    assert np.ptp(probabilities[:, 0]) > 0.001  # the images differ
    np.testing.assert_allclose(answer["probabilities"], np.take_along_axis(probabilities, order, 1), atol=1e-5)
    np.testing.assert_array_equal(answer["indices"], order)
    np.testing.assert_array_equal(answer["classes"], np.array([name.encode() for name in CLASS_NAMES])[order])
    assert {name: value.dtype.name for name, value in answer.items()} == {
        "probabilities": "float32",
        "indices": "int32",
        "classes": "object",
    }


@tensorflow_only
def test_the_features_of_a_model_that_merges_tokens_are_those_before_its_heads():
    model = kd.DeiTClassifier(student(), token_merging=3)
    offered = signatures(model)
    features = offered["features"][0](images(3))
    heads = [model.deit.get_layer(f"{name}_head") for name in ("class", "distillation")]
    logits = (
        sum(head(features[f"{name}_token"]) for name, head in zip(("class", "distillation"), heads, strict=True)) / 2
    )
    np.testing.assert_allclose(logits, offered["serving_default"][0](images(3))["logits"], atol=1e-5)


@tensorflow_only
def test_the_features_are_those_of_the_backbone(exported):
    model, directory, _ = exported
    loaded = load(directory / "saved_model")
    features = loaded.signatures["features"](images=images(3))
    tokens = model.backbone(images(3))
    for name in ("class_token", "distillation_token"):
        np.testing.assert_allclose(features[name], tokens[name], atol=1e-5)
    mean = (tokens["class_token"] + tokens["distillation_token"]) / 2
    np.testing.assert_allclose(features["mean"], mean, atol=1e-5)
    assert sorted(features) == ["class_token", "distillation_token", "mean"]


@tensorflow_only
@pytest.mark.parametrize("shape", [(2, 60, 91), (1, 32, 32), (1, 5, 3), (1, 1, 1), (1, 300, 20)])
def test_pixels_of_any_size_are_prepared_as_the_record_says(of_pixels, shape):
    model, loaded, _ = of_pixels
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype("uint8")
    logits = loaded.signatures["serving_default"](pixels=pixels)["logits"]
    np.testing.assert_allclose(logits, model(model.image_processor()(pixels))["class"], atol=1e-5)


@tensorflow_only
def test_the_runtime_runs_the_preparation_in_a_saved_model_of_pixels(of_pixels):
    model, _, path = of_pixels
    pixels = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3)).astype("uint8")
    logits = ExportedModel(path).runtime.run_pixels(pixels)
    np.testing.assert_allclose(logits, model(model.image_processor()(pixels))["class"], atol=1e-5)


@tensorflow_only
def test_classes_of_a_multi_label_model_have_probabilities_of_their_own(of_pixels):
    model, loaded, _ = of_pixels
    files = [encoded(photograph(), "PNG")]
    answer = loaded.signatures["serve_bytes"](image_bytes=files)
    logits = model(model.image_processor()(files))["class"]
    np.testing.assert_allclose(answer["probabilities"], np.sort(keras.ops.sigmoid(logits))[:, ::-1], atol=1e-5)
    assert answer["classes"][0, 0] == f"class {np.argmax(logits)}"


@tensorflow_only
def test_a_model_with_one_token_has_its_embedding_as_the_mean(of_pixels):
    _, loaded, _ = of_pixels
    features = loaded.signatures["features"](pixels=np.zeros((1, 8, 8, 3), "uint8"))
    assert sorted(features) == ["class_token", "mean"]
    np.testing.assert_array_equal(features["class_token"], features["mean"])


@tensorflow_only
@pytest.mark.parametrize(
    ("signature", "inputs"),
    [
        ("serving_default", {"pixels": np.zeros((8, 8, 3), "uint8")}),
        ("serving_default", {"pixels": np.zeros((1, 8, 8, 4), "uint8")}),
        ("serving_default", {"pixels": np.zeros((1, 0, 8, 3), "uint8")}),
        ("serving_default", {"pixels": np.zeros((1, 8, 8, 3), "float32")}),
        ("serve_bytes", {"image_bytes": b"no batch"}),
        ("serve_bytes", {"image_bytes": [b"no image"]}),
        ("features", {"pixels": np.zeros((1, 3, 8, 8), "uint8")}),
    ],
)
def test_wrong_inputs_raise(of_pixels, signature, inputs):
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError):
        of_pixels[1].signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})


@tensorflow_only
def test_a_model_of_files_answers_with_classes_by_default(tmp_path):
    model = student(num_layers=1, class_names=CLASS_NAMES)
    path = to_saved_model(
        model, tmp_path / "model", inputs="bytes", top=2, preprocessing=kd.Preprocessing(crop_ratio=1.0)
    )
    signatures = load(path).signatures
    files = [encoded(photograph(), "JPEG")]
    answer, same = (signatures[name](image_bytes=files) for name in ("serving_default", "serve_bytes"))
    model.preprocessing = kd.Preprocessing(crop_ratio=1.0)
    np.testing.assert_allclose(answer["probabilities"], np.sort(probabilities_of(model, files))[:, :-3:-1], atol=1e-5)
    np.testing.assert_array_equal(answer["classes"], same["classes"])
    assert signatures["features"](image_bytes=files)["mean"].shape == (1, 192)
    logits = signatures["serve_images"](images=images(2))["logits"]
    np.testing.assert_allclose(logits, kd.DeiTClassifier(model)(images(2)), atol=1e-4)
    metadata = json.loads((path / "assets.extra" / "keras_deit.json").read_text(encoding="utf-8"))
    assert (metadata["inputs"], metadata["preprocessing"]["crop_ratio"]) == ("bytes", 1.0)


@tensorflow_only
def test_the_outputs_of_a_model_that_ends_in_a_softmax_are_its_probabilities():
    pooling = keras.layers.GlobalAveragePooling2D(data_format="channels_last")
    model = keras.Sequential([keras.Input((8, 8, 3)), pooling, keras.layers.Softmax()])
    classify, _ = signatures(model, preprocessing=kd.Preprocessing(mean=0, std=1, image_size=8))["serve_bytes"]
    red = encoded(photograph().point([255] * 256 + [0] * 512), "PNG")
    expected = np.exp([1, 0, 0]) / np.exp([1, 0, 0]).sum()
    np.testing.assert_allclose(classify(np.array([red]))["probabilities"], [expected], atol=1e-6)


def test_only_models_of_rgb_images_with_one_logit_for_each_class_read_files():
    pixels = keras.Input((8, 8, 3))
    assert is_rgb_classifier(keras.Model(pixels, keras.layers.Flatten()(pixels)))
    assert not is_rgb_classifier(keras.Model(pixels, pixels + 1))
