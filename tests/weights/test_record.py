"""The names of classes and the preparation of images that are stored beside weights."""

import json
import shutil

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.weights.files import configuration
from keras_deit.weights.record import from_transformers, read_record, to_transformers
from tests.weights.checkpoints import model_for, read
from tests.weights.checkpoints import path as checkpoint_path

pytest.importorskip("safetensors", reason="the checkpoints are safetensors")
NAMES = ("ant", "bee", "cat", "dog", "eel")  # of the five classes of the small checkpoints
RECORD = Preprocessing((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), 0.8, "lanczos", True)


def photographs():
    """A wide and a tall photograph, and a square one."""
    wide = pytest.importorskip("sklearn.datasets", reason="the photographs").load_sample_images().images[0]
    return [wide, np.ascontiguousarray(wide.transpose(1, 0, 2)[:, :425]), np.ascontiguousarray(wide[:400, :400])]


def model_with_names(**record):
    """A DeiT of two tokens whose predictions differ between classes."""
    model = model_for("timm_two_tokens", class_names=NAMES, **record)
    rng = np.random.default_rng(0)
    for head in ("class_head", "distillation_head"):
        model.get_layer(head).set_weights([rng.normal(size=(16, 5)), np.zeros(5)])
    return model


@pytest.mark.parametrize("extension", [".safetensors", ".pth"])
def test_a_foreign_file_takes_nothing_over_from_the_files_beside_it(extension, tmp_path):
    model = model_with_names(preprocessing=RECORD)
    kd.weights.to_huggingface(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    tensors = read(tmp_path / "model.safetensors")
    if extension == ".pth":
        torch = pytest.importorskip("torch", reason="the file is PyTorch's")
        torch.save({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}, tmp_path / "deit.pth")
    else:
        (tmp_path / "model.safetensors").rename(tmp_path / "deit.safetensors")
    with pytest.warns(
        UserWarning, match="not read: config.json, preprocessor_config.json. If .* to model.safetensors or"
    ):
        loaded = kd.pretrained(tmp_path / f"deit{extension}", num_heads=model.backbone.num_heads)
    assert (loaded.class_names, loaded.preprocessing) == (None, None)


def test_a_part_of_a_checkpoint_has_the_files_beside_it(tmp_path):
    (tmp_path / "config.json").touch()
    for name in ("model-00001-of-00002.safetensors", "pytorch_model.bin", "model.safetensors.index.json"):
        (tmp_path / name).touch()
        assert configuration(tmp_path / name, "config.json") == tmp_path / "config.json"
    (tmp_path / "deit.bin").touch()
    assert configuration(tmp_path / "deit.bin", "config.json") is None


@pytest.mark.parametrize("destination", ["model.safetensors", "directory", "model.keras"])
def test_names_and_record_travel_through_every_format(destination, tmp_path):
    model = model_with_names(preprocessing=RECORD)
    path = tmp_path / destination
    if destination == "directory":
        kd.weights.to_huggingface(model, path)
        config = json.loads((path / "config.json").read_text())
        assert config["id2label"] == {str(index): name for index, name in enumerate(NAMES)}
        assert config["label2id"] == {name: index for index, name in enumerate(NAMES)}
    elif destination == "model.keras":
        model.save(path)
    else:
        kd.weights.to_timm(model, path)
    loaded = kd.pretrained(path)
    assert (loaded.class_names, loaded.preprocessing) == (NAMES, RECORD)
    fewer = kd.pretrained(path, num_classes=3)
    assert (fewer.class_names, fewer.preprocessing) == (None, RECORD)
    for head, value in loaded.predict(np.ones((1, 32, 32, 3)), verbose=0).items():
        np.testing.assert_allclose(value, model.predict(np.ones((1, 32, 32, 3)), verbose=0)[head], atol=1e-6)


PROCESSORS = [
    ("ViTImageProcessor", {"size": {"height": 32, "width": 32}}),
    ("ViTImageProcessor", {"size": {"height": 32, "width": 32}, "resample": 1, "image_mean": [0.1, 0.2, 0.3]}),
    ("ViTImageProcessor", {"size": {"height": 32, "width": 32}, "do_normalize": False}),
    ("ViTImageProcessor", {"size": {"height": 32, "width": 32}, "do_rescale": False, "image_std": [60.0, 70.0, 80.0]}),
    ("DeiTImageProcessor", {"size": {"height": 37, "width": 37}, "crop_size": {"height": 32, "width": 32}}),
    ("DeiTImageProcessor", {"size": 36, "crop_size": 32, "resample": 0}),
    ("DeiTImageProcessor", {"size": 36, "crop_size": 32, "resample": 4}),
    ("CLIPImageProcessor", {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}, "resample": 2}),
    ("CLIPImageProcessor", {"size": 36, "crop_size": 32, "resample": 5}),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 32}, "crop_pct": 0.875}),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}),
    ("LevitImageProcessor", {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}),
    ("PoolFormerImageProcessor", {"size": {"shortest_edge": 33}, "crop_size": {"height": 32, "width": 32}}),
    ("PoolFormerImageProcessor", {"size": {"height": 29, "width": 29}, "crop_size": 32, "crop_pct": 0.8}),
    ("EfficientNetImageProcessor", {"size": {"height": 32, "width": 32}, "resample": 3}),
    (
        "EfficientNetImageProcessor",
        {
            "size": {"height": 32, "width": 32},
            "rescale_factor": 1 / 127.5,
            "rescale_offset": True,
            "include_top": False,
        },
    ),
    (
        "EfficientNetImageProcessor",
        {
            "size": {"height": 32, "width": 32},
            "rescale_offset": True,
            "do_normalize": False,
            "image_std": [0.5, 0.6, 0.7],
        },
    ),
]


@pytest.mark.parametrize(("kind", "options"), PROCESSORS)
def test_images_are_prepared_as_by_transformers(kind, options, tmp_path):
    """All pixels are equal where the centre crop leaves the same rows and columns, see the test after this one."""
    transformers = pytest.importorskip("transformers", reason="its processors compute the reference")
    reference = getattr(transformers, kind)(**options)
    reference.save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "preprocessor_config.json").read_text())
    record = from_transformers(stored, None if kind == "ConvNextImageProcessor" else (32, 32))
    processor = record.processor(record.image_size or 32)
    for pixels in photographs()[
        :: 2 if record.image_size == (384, 384) else 1
    ]:  # the tall one: see the processor's test
        expected = np.moveaxis(np.asarray(reference(pixels, return_tensors="np")["pixel_values"][0]), 0, -1)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(processor(pixels)), expected, atol=1e-4)


def test_transformers_crops_a_column_earlier_where_half_a_remainder_is_rounded_up():
    """47 columns leave 15 beside a crop of 32: torchvision and this package leave out 8 on the left, transformers 7."""
    transformers = pytest.importorskip("transformers", reason="its processor computes the reference")
    pillow = pytest.importorskip("PIL.Image")
    record = Preprocessing(crop_ratio=1.0)
    image = photographs()[0]
    resized = np.asarray(pillow.fromarray(image).resize((47, 32), pillow.Resampling.BICUBIC)) / 255
    normalised = (resized - record.mean) / record.std
    received = keras.ops.convert_to_numpy(record.processor(32)(image))
    np.testing.assert_allclose(received, normalised[:, 8:40], atol=1e-5)
    theirs = transformers.CLIPImageProcessor(**to_transformers(record, (32, 32)))(image, return_tensors="np")
    np.testing.assert_allclose(np.moveaxis(theirs["pixel_values"][0], 0, -1), normalised[:, 7:39], atol=1e-5)


def test_the_written_processor_is_read_back():
    for record in (RECORD, Preprocessing(), Preprocessing(crop_ratio=1.0, interpolation="box")):
        assert from_transformers(to_transformers(record, (224, 224)), (224, 224)) == record
    assert from_transformers(to_transformers(None, (224, 224)), (224, 224)) == Preprocessing()


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"do_flip_channel_order": True}, "`do_flip_channel_order` of preprocessor_config.json is not supported"),
        ({"size": {"longest_edge": 32}}, "`size` of preprocessor_config.json is not supported"),
        ({"size": {"height": 64, "width": 64}}, r"prepares images of \(64, 64\) pixels, and the model .* \(32, 32\)"),
        ({"size": {"shortest_edge": 32}}, "without `do_center_crop`"),
        ({"resample": 9}, "`resample` of preprocessor_config.json is not supported: 9"),
        ({"do_center_crop": True, "crop_size": 32, "size": 16}, "which no `crop_ratio` describes"),
        ({"image_processor_type": "BitImageProcessor", "size": 32}, "has no `image_mean`"),
        (
            {"image_processor_type": "VivitImageProcessor"},
            "`image_processor_type` .* is not supported: VivitImageProcessor",
        ),
        ({"image_processor_type": None, "offset": True}, "`offset` of preprocessor_config.json is not supported"),
    ],
)
def test_what_cannot_be_done_is_said_and_the_weights_are_read(changes, message, tmp_path):
    config = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, **changes}
    with pytest.raises(ValueError, match=message):
        from_transformers(config, (32, 32))
    directory = kd.weights.to_huggingface(model_with_names(), tmp_path / "model")
    (directory / "preprocessor_config.json").write_text(json.dumps(config))
    with pytest.warns(UserWarning, match="The preparation of images could not be read"):
        assert kd.pretrained(directory).preprocessing is None


def test_timms_configuration_is_read(tmp_path):
    kd.weights.to_timm(model_with_names(), tmp_path / "model.safetensors")
    config = {
        "architecture": "deit_tiny_distilled_patch16_224",
        "num_classes": 5,
        "label_names": NAMES[::-1],
        "pretrained_cfg": {
            "mean": [0.5, 0.4, 0.3],
            "std": [0.2, 0.3, 0.4],
            "crop_pct": 0.8,
            "interpolation": "lanczos",
            "crop_mode": "squash",
            "input_size": [3, 32, 32],
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    safetensors = pytest.importorskip("safetensors.numpy")
    tensors = safetensors.load_file(tmp_path / "model.safetensors")
    safetensors.save_file(tensors, tmp_path / "model.safetensors")  # without the metadata
    record = read_record(tmp_path, (32, 32))
    assert record == {"class_names": NAMES[::-1], "preprocessing": RECORD, "multi_label": False, "notes": ()}
    config["pretrained_cfg"]["crop_mode"] = "border"
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "`crop_mode` of timm's config.json is not supported: 'border'" in read_record(tmp_path)["notes"][0]


def test_counted_labels_are_no_names(tmp_path):
    directory = kd.weights.to_huggingface(model_for("timm_two_tokens"), tmp_path / "model")
    assert json.loads((directory / "config.json").read_text())["id2label"]["4"] == "LABEL_4"
    assert kd.pretrained(directory).class_names is None


@pytest.mark.parametrize(
    "entries",
    [
        {"pretrained_cfg": None},
        {"id2label": ["a", "b"]},
        {"id2label": None},
        {"label_names": 3},
        {"label_names": [1, 2]},
    ],
)
def test_entries_of_other_types_are_no_names_and_no_damage(entries, tmp_path):
    shutil.copy(checkpoint_path("timm_two_tokens"), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(entries))
    assert read_record(tmp_path) == {"class_names": None, "preprocessing": None, "multi_label": False, "notes": ()}


@pytest.mark.parametrize(("record", "multi_label"), [(None, False), (RECORD, False), (RECORD, True)])
def test_the_pipeline_of_transformers_gives_the_same_probabilities(record, multi_label, tmp_path):
    transformers = pytest.importorskip("transformers", reason="its pipeline computes the reference")
    pytest.importorskip("torch", reason="the pipeline runs on PyTorch")
    pillow = pytest.importorskip("PIL.Image")
    model = kd.DeiTClassifier(model_with_names(preprocessing=record, multi_label=multi_label))
    kd.weights.to_huggingface(model, tmp_path / "model")
    pipeline = transformers.pipeline("image-classification", model=str(tmp_path / "model"))
    images = photographs()
    logits = model.predict(np.stack([model.image_processor()(image) for image in images]), verbose=0)
    score = keras.ops.sigmoid if multi_label else keras.ops.softmax
    probabilities = keras.ops.convert_to_numpy(score(logits))
    assert kd.pretrained(tmp_path / "model").multi_label == multi_label
    assert probabilities.std() > 0.01
    for image, expected in zip(images, probabilities, strict=True):
        answers = {row["label"]: row["score"] for row in pipeline(pillow.fromarray(image), top_k=5)}
        np.testing.assert_allclose([answers[name] for name in NAMES], expected, atol=1e-3)


def test_one_number_for_all_channels_is_written_as_three(tmp_path):
    transformers = pytest.importorskip("transformers", reason="its processor computes the reference")
    model = model_with_names(preprocessing=Preprocessing(mean=0.5, std=0.25, crop_ratio=1.0))
    kd.weights.to_huggingface(model, tmp_path / "model")
    reference = transformers.AutoImageProcessor.from_pretrained(str(tmp_path / "model"))
    pixels = photographs()[2][:32, :32]
    expected = (pixels / 255 - 0.5) / 0.25
    theirs = np.asarray(reference(pixels, return_tensors="np")["pixel_values"][0])
    np.testing.assert_allclose(np.moveaxis(theirs, 0, -1), expected, atol=1e-5)
    for ours in (model, kd.pretrained(tmp_path / "model")):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(ours.image_processor()(pixels)), expected, atol=1e-5)


def test_the_record_is_read_from_files_in_the_format_of_pytorch_before_1_6(tmp_path):
    torch = pytest.importorskip("torch", reason="the file is PyTorch's")
    path = kd.weights.to_official(model_with_names(preprocessing=RECORD), tmp_path / "model.pth")
    torch.save(torch.load(path, weights_only=True), path, _use_new_zipfile_serialization=False)
    loaded = kd.pretrained(path)
    assert (loaded.class_names, loaded.preprocessing) == (tuple(NAMES), RECORD)


@pytest.mark.parametrize(("write", "extension"), [("to_timm", ".safetensors"), ("to_official", ".pth")])
@pytest.mark.parametrize("name", ["timm_two_tokens", "timm_regnety"])
def test_a_file_that_states_nothing_takes_nothing_over_from_the_files_beside_it(name, write, extension, tmp_path):
    if extension == ".pth":
        pytest.importorskip("torch", reason="the file is PyTorch's")
    kd.weights.to_huggingface(model_with_names(preprocessing=RECORD), tmp_path)
    path = getattr(kd.weights, write)(model_for(name), tmp_path / f"other{extension}")
    loaded = kd.pretrained(path)
    assert (loaded.class_names, loaded.preprocessing) == (None, None)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    kd.pretrained(path)


@pytest.mark.parametrize("destination", ["model.safetensors", "directory", "model.keras"])
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (np.array([3, 1, 4, 15, 9]), ("3", "1", "4", "15", "9")),
        (np.array(["a", "b", "c", "d", "e"]), tuple("abcde")),
        (["crane", "b", "c", "d", "crane"], ("crane", "b", "c", "d", "crane")),
    ],
)
def test_names_become_strings_that_every_format_keeps(names, expected, destination, tmp_path):
    model = model_for("timm_two_tokens", class_names=names)
    assert model.class_names == expected
    assert {type(name) for name in model.class_names} == {str}
    path = tmp_path / destination
    if destination == "model.keras":
        model.save(path)
    else:
        (kd.weights.to_huggingface if destination == "directory" else kd.weights.to_timm)(model, path)
    assert kd.pretrained(path).class_names == expected


@pytest.mark.parametrize("names", ["abcde", [b"a", b"b", b"c", b"d", b"e"], [None] * 5, [0.5, 1.5, 2.5, 3.5, 4.5]])
def test_names_that_are_neither_strings_nor_integers_are_refused(names):
    with pytest.raises(
        ValueError, match="`class_names` must be a list of strings or integers in the order of the labels. Received"
    ):
        model_for("timm_two_tokens", class_names=names)
