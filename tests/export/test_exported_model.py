"""An exported model predicts as its Keras model does, in its own runtime."""

import dataclasses
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.export import exported_model
from keras_deit.export.exported_model import ExportedModel, is_exported
from keras_deit.export.formats import FORMATS
from keras_deit.runtime.child_process import child_environment
from tests.export.students import (
    CLASS_NAMES,
    LARGEST_DIFFERENCES,
    PREPROCESSING,
    QUANTIZED_FORMATS,
    RUNNABLE_FORMATS,
    digits,
    needs_litert,
    other_backends_only,
    tensorflow_only,
)

needs_an_export = pytest.mark.skipif(not RUNNABLE_FORMATS, reason="exporting needs the extra `export` or `onnx`")


@pytest.fixture(scope="module")
def opened(exported):
    """The student, and the exported models by the names of their formats."""
    model, _, reports = exported
    return model, {name: ExportedModel(report.path) for name, report in reports.items()}


@pytest.mark.parametrize("name", [*RUNNABLE_FORMATS, *QUANTIZED_FORMATS])
def test_any_number_of_images_is_predicted(name, opened):
    model, exports = opened
    batch, _ = digits(35)
    expected = keras.ops.convert_to_numpy(kd.DeiTClassifier(model)(batch))
    logits = exports[name].predict_on_batch(keras.ops.convert_to_tensor(batch))
    assert (logits.shape, logits.dtype) == ((35, 10), np.float32)
    within = dict(rtol=0, atol=LARGEST_DIFFERENCES[name])
    np.testing.assert_allclose(logits, expected, **within)
    np.testing.assert_allclose(exports[name].predict_on_batch(batch[:1]), expected[:1], **within)


@pytest.mark.parametrize("name", [*RUNNABLE_FORMATS, *QUANTIZED_FORMATS])
def test_the_export_knows_what_its_model_knows(name, opened):
    export = opened[1][name]
    assert export.format == name.split(":")[0]
    assert (export.class_names, export.num_classes, export.multi_label) == (CLASS_NAMES, 10, False)
    assert dataclasses.replace(export.preprocessing, image_size=None) == PREPROCESSING
    assert export.input_shape[1:] == (32, 32, 3)
    assert export.output_shape == (None, 10)
    assert export.image_processor().get_config() | {"name": ""} == PREPROCESSING.processor(32).get_config() | {
        "name": ""
    }


@needs_an_export
def test_images_of_another_size_are_refused_with_the_right_size(opened):
    export = opened[1][RUNNABLE_FORMATS[0]]
    assert export.image_processor(32, crop_ratio=1.0).crop_ratio == 1.0
    with pytest.raises(ValueError, match=r"takes images of 32×32 pixels only\. Received: image_size=64"):
        export.image_processor(64)


def test_exports_are_told_from_weights(tmp_path):
    assert not is_exported(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    assert is_exported(tmp_path)
    assert [name for name in ("a.tflite", "b.onnx", "c.xml", "d.keras", "deit_ti") if is_exported(name)] == [
        "a.tflite",
        "b.onnx",
        "c.xml",
    ]


def test_a_missing_export_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no export at"):
        ExportedModel(tmp_path / "student.tflite")


@pytest.mark.backend_independent
@pytest.mark.parametrize("name", [name for name in RUNNABLE_FORMATS if name != "saved_model"])
def test_a_damaged_file_is_named(name, tmp_path):
    path = tmp_path / FORMATS[name].file_name
    path.write_bytes(b"no model " * 100)
    with pytest.raises(ValueError, match=rf"student\.\w+ cannot be run as {name}"):
        ExportedModel(path)


@tensorflow_only
def test_a_damaged_saved_model_is_named(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"no model " * 100)
    with pytest.raises(ValueError, match="cannot be run as saved_model"):
        ExportedModel(tmp_path)


@other_backends_only
@pytest.mark.backend_independent
@needs_litert
def test_files_run_without_tensorflow(exported):
    directory = exported[1]
    files = [
        str(path) for path in directory.iterdir() if path.is_file() and path.suffix in (".tflite", ".onnx", ".xml")
    ]
    code = (
        "import sys\n"
        "sys.modules['tensorflow'] = None\n"
        "import numpy as np\n"
        "from keras_deit.export.exported_model import ExportedModel\n"
        "for path in sys.argv[1:]:\n"
        "    print(ExportedModel(path).predict_on_batch(np.zeros((2, 32, 32, 3))).shape)\n"
    )
    environment = child_environment(keras.backend.backend())
    result = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, env=environment)
    assert result.stdout.splitlines() == ["(2, 10)"] * len(files), result.stderr


class OneSlotRuntime:
    """A runtime that keeps one input, as LiteRT's interpreter does, and answers with the mean of each image."""

    input_shape, num_classes, takes_pixels = (1, 2, 2, 3), 2, False

    def __init__(self, **metadata):
        self.metadata = {"producer": "keras_deit 1.0", **metadata}

    def run(self, images):
        self.images = images
        time.sleep(0.01)
        return np.repeat(self.images.mean(axis=(1, 2, 3))[:, None], 2, axis=1)


@pytest.fixture
def open_runtime(monkeypatch, tmp_path):
    """A function that opens a file with a `OneSlotRuntime` of some metadata."""
    (tmp_path / "student.tflite").touch()

    def open_with(**metadata):
        monkeypatch.setattr(exported_model, "_open", lambda *_: OneSlotRuntime(**metadata))
        return ExportedModel(tmp_path / "student.tflite")

    return open_with


@pytest.mark.backend_independent
def test_each_thread_gets_the_logits_of_its_own_images(open_runtime):
    export, found = open_runtime(), {}

    def predict(value):
        found[value] = export.predict_on_batch(np.full((3, 2, 2, 3), value)).tolist()

    threads = [threading.Thread(target=predict, args=(value,)) for value in (1.0, 2.0, 3.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {value: [[value, value]] * 3 for value in (1.0, 2.0, 3.0)}


@pytest.mark.backend_independent
def test_no_images_have_no_logits(open_runtime):
    logits = open_runtime().predict_on_batch(np.zeros((0, 2, 2, 3)))
    assert (logits.shape, logits.dtype) == ((0, 2), np.float32)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            {"class_names": ["a", "b", "c"]},
            r"student\.tflite must fit its 2 outputs\. Received: class names for 3 classes",
        ),
        ({"num_classes": 10}, r"student\.tflite must fit its 2 outputs\. Received: num_classes for 10 classes"),
        ({"preprocessing": {"blur": 3}}, r"student\.tflite.*blur"),
    ],
)
def test_metadata_that_do_not_fit_are_refused_by_name(metadata, message, open_runtime):
    with pytest.raises(ValueError, match=message):
        open_runtime(**metadata)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("metadata", "activation"),
    [({}, "softmax"), ({"multi_label": True}, "sigmoid"), ({"activation": "sigmoid"}, "sigmoid")],
)
def test_the_activation_is_known(metadata, activation, open_runtime):
    assert open_runtime(**metadata).activation == activation
