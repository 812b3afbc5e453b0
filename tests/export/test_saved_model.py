"""Export to SavedModel, compared with the model in TensorFlow's loader."""

import sys

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.export import compare, saved_model, to_saved_model
from tests.export.students import images, needs_tensorflow, other_backends_only, student, tensorflow_only

DEIT3 = dict(distilled=False, prefix_positions=False, layer_scale_init=0.1)


def load(path):
    import tensorflow as tf

    return tf.saved_model.load(str(path))


@pytest.fixture
def written(exported):
    model, directory, _ = exported
    return model, directory / "saved_model"


@needs_tensorflow
def test_the_logits_are_those_of_the_model(exported):
    model, _, reports = exported
    assert np.std(keras.ops.convert_to_numpy(model(images(5))["class"])) > 0.1  # the logits are not all zero
    assert reports["saved_model"].largest_difference < 1e-4


@tensorflow_only
@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_batch_size_is_free(written, batch_size):
    model, path = written
    loaded = load(path)
    logits = loaded.signatures["serving_default"](images=images(batch_size))["logits"]
    np.testing.assert_allclose(logits, kd.DeiTClassifier(model)(images(batch_size)), atol=1e-4)


@tensorflow_only
def test_the_signature_is_that_of_tensorflow_serving(written):
    signature = load(written[1]).signatures["serving_default"]
    _, inputs = signature.structured_input_signature
    assert {name: (spec.shape.as_list(), spec.dtype.name) for name, spec in inputs.items()} == {
        "images": ([None, 32, 32, 3], "float32")
    }
    outputs = signature.structured_outputs
    assert {name: (spec.shape.as_list(), spec.dtype.name) for name, spec in outputs.items()} == {
        "logits": ([None, 10], "float32")
    }


@tensorflow_only
@pytest.mark.parametrize("shape", [(1, 64, 64, 3), (1, 3, 32, 32), (32, 32, 3), (3072,), (1, 32, 32, 1)])
def test_images_of_another_shape_raise(written, shape):
    import tensorflow as tf

    loaded = load(written[1])
    with pytest.raises(tf.errors.InvalidArgumentError, match="images_must_be_32x32x3"):
        loaded.signatures["serving_default"](images=tf.zeros(shape))


@tensorflow_only
def test_every_weight_is_stored_once(written):
    model, path = written
    stored = (path / "variables" / "variables.data-00000-of-00001").stat().st_size
    assert stored < 1.1 * 4 * model.count_params()


@tensorflow_only
@pytest.mark.parametrize(
    "overrides",
    [
        dict(distilled=False),
        DEIT3,
        dict(dtype="mixed_bfloat16"),
        dict(drop_path_rate=0.5, num_layers=2),
        dict(image_size=(16, 32)),
    ],
    ids=["one_token", "deit3", "mixed_precision", "drop_path", "rectangular"],
)
def test_every_kind_of_student(overrides, tmp_path):
    model = student(**{"num_layers": 1, **overrides})
    batch = images(2)[:, : model.image_size[0]]
    assert compare(model, to_saved_model(model, tmp_path / "model"), batch).largest_difference < 1e-4


@tensorflow_only
@pytest.mark.parametrize("fusion", ["mean_probabilities", "concat"])
def test_every_fusion(fusion, tmp_path):
    model = kd.DeiTClassifier(student(num_layers=1), fusion=fusion)
    assert compare(model, to_saved_model(model, tmp_path / "model"), images(2)).largest_difference < 1e-4


@tensorflow_only
def test_a_full_size_model(full_size_student, tmp_path):
    path = to_saved_model(full_size_student, tmp_path / "model")
    assert compare(full_size_student, path, images(2, 224)).largest_difference < 1e-4


@tensorflow_only
def test_a_model_under_a_strategy(tmp_path):
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = student(num_layers=1)
    assert compare(model, to_saved_model(model, tmp_path / "model"), images(2)).largest_difference < 1e-4


@tensorflow_only
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_export_leaves_nothing(error, tmp_path, monkeypatch):
    def fail(model, path, *arguments):
        path.mkdir()
        (path / "saved_model.pb").write_text("half")
        raise error

    monkeypatch.setattr(saved_model, "write_serving_model", fail)
    with pytest.raises(error):
        to_saved_model(student(num_layers=1), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_an_existing_path_is_refused(tmp_path):
    with pytest.raises(FileExistsError, match="overwrite=True"):
        to_saved_model(student(num_layers=1), tmp_path)


@tensorflow_only
def test_overwrite_replaces_an_earlier_export(tmp_path):
    first, second = student(num_layers=1), student(num_layers=1, distilled=False)
    path = to_saved_model(first, tmp_path / "model")
    to_saved_model(second, path, overwrite=True)
    assert compare(second, path, images(2)).largest_difference < 1e-4


@tensorflow_only
def test_a_version_gets_the_next_free_number(tmp_path, monkeypatch):
    def write(model, path, *arguments):
        path.mkdir()

    monkeypatch.setattr(saved_model, "write_serving_model", write)
    paths = [to_saved_model(student(num_layers=1), tmp_path / "model", versioned=True) for _ in range(2)]
    (tmp_path / "model" / "9").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("10")
    paths.append(to_saved_model(student(num_layers=1), tmp_path / "model", versioned=True))
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == ["model/1", "model/2", "model/10"]


def foreign_classifier(channels=3):
    layers = [keras.Input((8, 8, channels)), keras.layers.Flatten(), keras.layers.Dense(4)]
    return keras.Sequential(layers)


@tensorflow_only
def test_a_model_of_keras_reads_files_if_its_preprocessing_is_given(tmp_path):
    import tensorflow as tf

    model = foreign_classifier()
    assert list(load(to_saved_model(model, tmp_path / "plain")).signatures) == ["serving_default"]
    record = kd.Preprocessing(mean=0, std=1 / 255, crop_ratio=1.0)
    loaded = load(to_saved_model(model, tmp_path / "model", preprocessing=record, top=1))
    pixels = tf.constant(np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype("uint8"))
    answer = loaded.signatures["serve_bytes"](image_bytes=tf.io.encode_png(pixels)[None])
    logits = model(tf.cast(pixels, "float32")[None])
    np.testing.assert_allclose(answer["probabilities"][0, 0], tf.reduce_max(tf.nn.softmax(logits)), atol=1e-5)
    assert answer["classes"].numpy().tolist() == [[f"class {np.argmax(logits)}".encode()]]


@tensorflow_only
def test_a_model_of_any_size_prepares_images_of_the_size_of_its_record(tmp_path):
    model = kd.RegNetY((8,), (1,), 8, num_classes=3, preprocessing={"image_size": (32, 48)})
    loaded = load(to_saved_model(model, tmp_path / "model", inputs="pixels"))
    assert sorted(loaded.signatures) == ["serve_bytes", "serve_images", "serving_default"]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 50, 60, 3)).astype("uint8")
    logits = loaded.signatures["serving_default"](pixels=pixels)["logits"]
    np.testing.assert_allclose(logits, model(model.image_processor()(pixels), training=False), atol=1e-4)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (student, {"inputs": "raw"}, "`inputs` must be one of 'normalized', 'pixels', 'bytes'"),
        (student, {"top": 0}, "`top` must be a positive integer"),
        (foreign_classifier, {"inputs": "bytes"}, "inputs='bytes' needs .* pass `preprocessing="),
        (lambda: foreign_classifier(1), {"preprocessing": kd.Preprocessing()}, r"images of shape \(8, 8, 1\)"),
    ],
)
def test_what_a_model_cannot_take_is_refused(make, arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        to_saved_model(make(), tmp_path / "model", **arguments)
    assert not list(tmp_path.iterdir())


@other_backends_only
def test_without_tensorflow_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ImportError, match=r"keras-deit\[export\]"):
        to_saved_model(student(), tmp_path / "model")
    assert not list(tmp_path.iterdir())
