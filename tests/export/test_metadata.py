"""What an exported model says of itself is read back."""

import json
import sys

import keras
import pytest

import keras_deit as kd
from keras_deit.export import to_onnx
from keras_deit.export.metadata import KEY, KEYS, export_metadata, from_properties, read_metadata, sidecar, to_json
from keras_deit.export.serving import serving_model
from tests.export.students import HAS_LITERT, needs_onnx, student

pytestmark = pytest.mark.backend_independent
METADATA = {
    "class_names": ["Katze", "犬", 'a "b"'],
    "preprocessing": kd.Preprocessing(mean=0.5, squash=True).get_config(),
    "multi_label": True,
    "activation": "sigmoid",
    "num_classes": 3,
    "image_size": [32, 16],
    "inputs": "normalized",
    "quantization": None,
    "producer": f"keras_deit {kd.__version__}",
}


def described_student():
    names, preparation = METADATA["class_names"], METADATA["preprocessing"]
    size, count = METADATA["image_size"], len(METADATA["class_names"])
    arguments = dict(num_layers=1, num_classes=count, image_size=size, class_names=names, preprocessing=preparation)
    return serving_model(student(**arguments, multi_label=True))


def test_the_metadata_describe_the_model():
    metadata = export_metadata(described_student())
    assert metadata == METADATA
    assert json.loads(to_json(metadata)) == metadata


def test_the_metadata_have_the_documented_keys():
    assert tuple(export_metadata(described_student())) == KEYS


def test_a_model_without_a_record_has_the_preparation_of_its_image_processor():
    metadata, processor = export_metadata(serving_model(student())), student().image_processor()
    assert metadata["class_names"] is None
    assert metadata["preprocessing"]["crop_ratio"] == processor.crop_ratio == 0.875
    assert tuple(metadata["preprocessing"]["mean"]) == tuple(processor.mean) == kd.IMAGENET_MEAN


def test_another_keras_model_has_no_record():
    layers = [keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D(data_format="channels_last")]
    metadata = export_metadata(keras.Sequential(layers), inputs="pixels")
    assert (metadata["class_names"], metadata["preprocessing"], metadata["image_size"]) == (None, None, None)
    assert (metadata["activation"], metadata["num_classes"], metadata["inputs"]) == ("softmax", 3, "pixels")


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (keras.layers.Dense(3), "softmax"),
        (keras.layers.Dense(3, activation="relu"), "softmax"),
        (keras.layers.Dense(3, activation="softmax"), None),
        (keras.layers.Dense(3, activation="sigmoid"), None),
        (keras.layers.Activation("softmax"), None),
        (keras.layers.Softmax(), None),
        (keras.Sequential([keras.layers.Dense(3), keras.layers.Softmax()]), None),
        (keras.ops.sigmoid, None),
    ],
)
def test_probabilities_need_no_activation(last, expected):
    pixels = keras.Input((4, 4, 3))
    assert export_metadata(keras.Model(pixels, last(keras.layers.Flatten()(pixels))))["activation"] == expected


@needs_onnx
def test_the_metadata_of_an_onnx_file_are_read_back(tmp_path):
    model = described_student()
    assert read_metadata(to_onnx(model, tmp_path / "student.onnx")) == export_metadata(model)


def test_properties_of_other_programs_are_left_out():
    properties = {"producer": '"keras_deit 1.0"', "multi_label": "false", "author": "not JSON"}
    assert from_properties(properties) == {"producer": "keras_deit 1.0", "multi_label": False}
    assert from_properties({"producer": "another program"}) is None


def test_the_metadata_of_a_saved_model_are_a_file_in_its_directory(tmp_path):
    assert read_metadata(tmp_path) is None
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "keras_deit.json").write_text(to_json(METADATA), encoding="utf-8")
    assert read_metadata(tmp_path) == METADATA


def litert_file(path, **entries):
    """Writes a LiteRT file without a graph, whose metadata are the given texts."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT()
    model.buffers, model.metadata = [schema.BufferT()], []
    for name, text in entries.items():
        entry, buffer = schema.MetadataT(), schema.BufferT()
        entry.name, entry.buffer, buffer.data = name, len(model.buffers), list(text.encode())
        model.metadata.append(entry)
        model.buffers.append(buffer)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path


@pytest.mark.skipif(not HAS_LITERT, reason="reading LiteRT needs the extra `export`")
def test_the_metadata_of_a_litert_file_are_in_the_file_or_beside_it(tmp_path):
    path = litert_file(tmp_path / "a.tflite", min_runtime_version="1.5.0", **{KEY: to_json(METADATA)})
    assert read_metadata(path) == METADATA
    foreign = litert_file(tmp_path / "b.tflite", min_runtime_version="1.5.0")
    assert read_metadata(foreign) is None
    sidecar(foreign).write_text(to_json(METADATA), encoding="utf-8")
    assert read_metadata(foreign) == METADATA
    for entries in ({"class_names": ["a"]}, {"class_names": ["a"], "producer": "another program"}, [1]):
        sidecar(foreign).write_text(to_json(entries), encoding="utf-8")
        assert read_metadata(foreign) is None
    sidecar(foreign).write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"b\.json must be a JSON file"):
        read_metadata(foreign)


@pytest.mark.skipif(not HAS_LITERT, reason="reading LiteRT needs the extra `export`")
def test_a_damaged_litert_file_is_named(tmp_path):
    path = litert_file(tmp_path / "a.tflite", **{KEY: to_json(METADATA)})
    whole = path.read_bytes()
    for content in (
        b"no model" * 9,
        b"",
        whole[:40],
        whole[:8] + b"\xff" * 60,
        whole.replace(b'{"class_names"', b'{"class_names\xff'),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.tflite"):
            read_metadata(path)


@needs_onnx
def test_a_damaged_onnx_file_is_named(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"no model" * 9)
    with pytest.raises(ValueError, match=r"a\.onnx' is damaged"):
        read_metadata(path)


@pytest.mark.parametrize(("name", "package"), [("a.onnx", "onnxruntime"), ("a.tflite", "ai_edge_litert")])
def test_a_missing_package_is_named_with_its_extra(name, package, tmp_path, monkeypatch):
    for module in [module for module in sys.modules if module.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{package}.*keras-deit\["):
        read_metadata(tmp_path / name)
