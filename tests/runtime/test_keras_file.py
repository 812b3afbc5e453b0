"""Damaged and crafted `.keras` files."""

import io
import json
import zipfile

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.runtime.keras_file import load_keras_file
from tests.weights.checkpoints import SHAPE


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    kd.DeiT(**SHAPE).save(path)
    return path.read_bytes()


def altered(saved, path, change):
    """Writes a copy whose config is changed by a function."""
    with zipfile.ZipFile(io.BytesIO(saved)) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config)
            target.writestr(name, content)
    return path


def test_a_whole_file_is_loaded(saved, tmp_path):
    path = altered(saved, tmp_path / "model.keras", lambda config: None)
    assert isinstance(load_keras_file(path), kd.DeiT)


@pytest.mark.parametrize("keep", [0, 10, 5000, -1])
def test_a_truncated_file_is_refused(saved, keep, tmp_path):
    (tmp_path / "cut.keras").write_bytes(saved[:keep])
    with pytest.raises(ValueError, match="cut.keras' is not a complete Keras file.*repeat it"):
        kd.pretrained(tmp_path / "cut.keras")


def test_flipped_bytes_are_refused_by_the_files_name(saved, tmp_path):
    for position in np.linspace(0.1, 0.9, 12) * len(saved):
        flipped = bytearray(saved)
        flipped[int(position)] ^= 0xFF
        (tmp_path / "flipped.keras").write_bytes(flipped)
        with pytest.raises(ValueError, match="flipped.keras"):
            kd.pretrained(tmp_path / "flipped.keras")


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_layers", 10**7), ("hidden_dim", 10**6), ("image_size", [10**6, 10**6]), ("num_classes", 10**9)],
)
def test_a_model_larger_than_the_file_is_refused_before_it_is_built(saved, name, value, tmp_path, monkeypatch):
    path = altered(saved, tmp_path / "model.keras", lambda config: config["config"].update({name: value}))
    monkeypatch.setattr(keras.saving, "load_model", None)
    with pytest.raises(ValueError, match="model.keras' describes a model of at least .* bytes, but it has only"):
        kd.pretrained(path)


@pytest.mark.parametrize(
    ("name", "value"), [("num_heads", "three"), ("num_layers", "two"), ("image_size", None), ("sublayers", [1])]
)
def test_metadata_of_a_wrong_type_is_refused_by_the_files_name(saved, name, value, tmp_path):
    path = altered(saved, tmp_path / "model.keras", lambda config: config["config"].update({name: value}))
    with pytest.raises(ValueError, match="model.keras'"):
        kd.pretrained(path)


def test_a_patch_size_of_zero_is_refused_by_the_files_name(saved, tmp_path):
    path = altered(saved, tmp_path / "model.keras", lambda config: config["config"].update(patch_size=0))
    with pytest.raises(ValueError, match="model.keras' is not a complete Keras file .ZeroDivisionError"):
        load_keras_file(path)


@pytest.mark.parametrize(("at", "value"), [(6, 1), (8, 99)], ids=["encrypted", "unknown compression"])
def test_archives_that_cannot_be_unpacked_are_refused_by_the_files_name(saved, at, value, tmp_path):
    """The bytes of the ZIP format: flags and method of compression, in both headers of each file."""
    damaged = bytearray(saved)
    for signature, offset in ((b"PK\x03\x04", at), (b"PK\x01\x02", at + 2)):
        position = damaged.find(signature)
        while position >= 0:
            damaged[position + offset] = value
            position = damaged.find(signature, position + 4)
    (tmp_path / "model.keras").write_bytes(damaged)
    with pytest.raises(ValueError, match="model.keras' is not a complete Keras file"):
        load_keras_file(tmp_path / "model.keras")


def test_a_foreign_class_is_refused(saved, tmp_path):
    change = {"module": "elsewhere", "class_name": "Other", "registered_name": "elsewhere>Other"}
    path = altered(saved, tmp_path / "model.keras", lambda config: config.update(change))
    with pytest.raises(ValueError, match="model.keras' cannot be loaded as a Keras model.*not registered"):
        kd.pretrained(path)


def test_a_lambda_layer_is_refused_without_advice_to_load_it(tmp_path):
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Lambda(lambda values: values + 1)(inputs)).save(tmp_path / "model.keras")
    for load in (kd.pretrained, lambda path: kd.Teacher(path, image_size=2)):
        with pytest.raises(ValueError, match="model.keras' cannot be loaded") as failure:
            load(tmp_path / "model.keras")
        assert "safe_mode" not in str(failure.value)
        assert failure.value.__cause__ is None


def test_weights_files_of_a_distiller_and_of_its_student_are_told_apart(tmp_path):
    deit = kd.DeiT(**SHAPE)
    classifier = kd.DeiTClassifier(deit)
    distiller = kd.Distiller(deit, kd.RegNetY(widths=(8,), depths=(1,), group_width=8, num_classes=5))
    for name, model in (("deit", deit), ("classifier", classifier), ("distiller", distiller)):
        model.save_weights(tmp_path / f"{name}.weights.h5")
    before = deit.get_weights()
    deit.set_weights([value + 1 for value in before])
    for name in ("classifier", "distiller"):
        with pytest.raises(
            ValueError, match=f"{name}.weights.h5' holds the weights of a Distiller or a DeiTClassifier: `"
        ):
            deit.load_weights(tmp_path / f"{name}.weights.h5")
    for model, way in ((distiller, "distiller.student.load_weights"), (classifier, "classifier.deit.load_weights")):
        with pytest.raises(
            ValueError, match=f"deit.weights.h5' holds the weights of a DeiT itself: load it with `{way}"
        ):
            model.load_weights(tmp_path / "deit.weights.h5")
    kd.DeiTClassifier(deit).load_weights(tmp_path / "distiller.weights.h5")  # as the message says
    for value, expected in zip(deit.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, expected)
    with pytest.raises(FileNotFoundError):
        deit.load_weights(tmp_path / "none.weights.h5")
