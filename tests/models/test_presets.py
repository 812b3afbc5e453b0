"""Published weights: the table of presets, and models built from them."""

import dataclasses
import hashlib
import importlib.util
import io
import json
import pathlib
import sys

import numpy as np
import pytest

import keras_deit as kd
from keras_deit.imaging import imagenet
from keras_deit.models import presets
from keras_deit.models.presets import PRESETS, find_preset
from keras_deit.models.variants import VARIANTS
from keras_deit.weights.checkpoint import open_checkpoint
from tests import goldens as goldens_package
from tests.loopback import pretend_hub, serving
from tests.weights.checkpoints import SHAPE, expected_logits, goldens, logits_of, path, read

pytest.importorskip("huggingface_hub", reason="huggingface_hub downloads the hub's files")
pytestmark = pytest.mark.eager

SMALL = {name: SHAPE[name] for name in ("hidden_dim", "num_layers", "num_heads", "patch_size")}
PREDICTED = dict(verbose=0)


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with serving() as loopback:
        pretend_hub(monkeypatch, loopback.url)
        yield loopback


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A file with the shapes of `deit_tiny_distilled_patch16_224` and random weights, and the model that wrote it."""
    model = kd.DeiT.from_variant("deit_ti")
    return kd.weights.to_timm(model, tmp_path_factory.mktemp("hub") / "model.safetensors"), model


def test_every_published_checkpoint_is_in_the_table():
    rows = kd.list_presets()
    names = [row["name"] for row in rows]
    assert sum(name.startswith("deit_") for name in names) == 8
    assert sum(name.startswith("deit3_") for name in names) == 16
    assert {name for name in names if name.startswith("regnety_")} == {
        f"regnety_{size}" for size in ("002", "016", "040", "080", "160", "320")
    }
    by_name = dict(zip(names, rows, strict=True))
    assert by_name["deit_base_distilled_patch16_384"] == {
        "name": "deit_base_distilled_patch16_384",
        "family": "deit",
        "variant": "deit_b_384",
        "parameters": 87_630_032,
        "image_size": 384,
        "crop_ratio": 0.875,
        "top1": 85.224,
        "top5": 97.186,
        "sha256": "d0272ac0",
        "source": "hf://timm/deit_base_distilled_patch16_384.fb_in1k "
        "https://dl.fbaipublicfiles.com/deit/deit_base_distilled_patch16_384-d0272ac0.pth",
    }
    assert by_name["deit3_huge_patch14_224.fb_in22k_ft_in1k"]["source"] == (
        "hf://timm/deit3_huge_patch14_224.fb_in22k_ft_in1k "
        "https://dl.fbaipublicfiles.com/deit/deit_3_huge_224_21k_v1.pth"
    )
    assert by_name["regnety_160"]["source"].startswith("hf://timm/regnety_160.deit_in1k ")
    assert by_name["regnety_040"]["source"] == "hf://timm/regnety_040.pycls_in1k"


def test_the_table_agrees_with_timm():
    theirs = json.loads((pathlib.Path(goldens_package.__file__).parent / "timm_presets.json").read_text())
    assert {preset.full_name for preset in PRESETS.values()} == set(theirs)
    for preset in PRESETS.values():
        row = theirs[preset.full_name]
        assert preset.repositories[0] == row["repository"]
        assert VARIANTS[preset.variant].image_size == row["image_size"]
        assert (preset.url or "") == row["url"]
        assert preset.parameters == row["parameters"]


def test_presets_are_found_with_and_without_their_tag():
    assert find_preset("deit3_base_patch16_224") is find_preset("deit3_base_patch16_224.fb_in1k")
    assert find_preset("deit3_base_patch16_224.fb_in22k_ft_in1k").top1 == 85.7
    assert find_preset("regnety_160.deit_in1k").name == "regnety_160"
    assert find_preset("regnety_040.deit_in1k") is None


def test_a_preset_is_downloaded_once_and_loaded(server, published):
    file, writer = published
    server.add_to_hub("timm/deit_tiny_distilled_patch16_224.fb_in1k", file.read_bytes())
    images = np.random.default_rng(0).normal(size=(2, 224, 224, 3)).astype("float32")
    model = kd.DeiT.from_preset("deit_tiny_distilled_patch16_224")
    expected = writer.predict(images, **PREDICTED)
    for head, logits in model.predict(images, **PREDICTED).items():
        np.testing.assert_array_equal(logits, expected[head])
    backbone = kd.DeiTBackbone.from_preset("deit_tiny_distilled_patch16_224.fb_in1k")
    np.testing.assert_array_equal(backbone.get_weights()[0], writer.backbone.get_weights()[0])
    classifier = kd.DeiTClassifier.from_preset("deit_tiny_distilled_patch16_224", fusion="class")
    assert classifier.fusion == "class"
    with pytest.warns(UserWarning, match="The head of fusion='concat' is randomly initialised"):
        kd.DeiTClassifier.from_preset("deit_tiny_distilled_patch16_224", fusion="concat")
    assert server.downloads() == [0]


def test_the_second_repository_is_tried_if_the_first_lacks_the_file(server, published, monkeypatch):
    server.add_to_hub("facebook/deit-tiny-distilled-patch16-224", published[0].read_bytes())
    assert kd.DeiT.from_preset("deit_tiny_distilled_patch16_224").count_params() == 5_910_800
    pretend_hub(monkeypatch, "http://127.0.0.1:1")  # no server
    assert kd.DeiT.from_preset("deit_tiny_distilled_patch16_224").count_params() == 5_910_800


@pytest.mark.parametrize("name", ["deit_tiny_patch16_224", "deit3_small_patch16_224", "regnety_002"])
def test_presets_of_every_family_are_loaded_by_name(name, server, tmp_path):
    model_class = kd.RegNetY if name.startswith("regnety") else kd.DeiT
    overrides = {"distilled": False} if name == "deit_tiny_patch16_224" else {}
    preset = find_preset(name)
    writer = model_class.from_variant(preset.variant, **overrides)
    content = kd.weights.to_timm(writer, tmp_path / "model.safetensors").read_bytes()
    server.add_to_hub(preset.repositories[0], content)
    model = model_class.from_preset(name)
    assert sum(np.prod(variable.shape) for variable in model.trainable_variables) == preset.parameters
    for mine, theirs in zip(model.get_weights(), writer.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_error_names_every_source_that_failed(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(OSError, match="'deit3_small_patch16_224' could not be downloaded") as failure:
        kd.DeiT.from_preset("deit3_small_patch16_224")
    assert "'timm/deit3_small_patch16_224.fb_in1k' on the hub has none of" in str(failure.value)
    assert "deit_3_small_224_1k.pth can only be read with PyTorch, which is not installed" in str(failure.value)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason=".pth files need PyTorch")
def test_the_official_file_is_tried_last(server, published, monkeypatch):
    import torch

    stored = io.BytesIO()
    torch.save({"model": {name: torch.from_numpy(value) for name, value in read(published[0]).items()}}, stored)
    server.files["official.pth"] = stored.getvalue()
    name = "deit_tiny_distilled_patch16_224"
    digits = hashlib.sha256(stored.getvalue()).hexdigest()[:8]
    row = dataclasses.replace(PRESETS[name], url=f"{server.url}/official.pth", sha256=digits)
    monkeypatch.setitem(PRESETS, name, row)
    assert kd.DeiT.from_preset(name).count_params() == 5_910_800
    monkeypatch.setitem(PRESETS, name, dataclasses.replace(row, sha256="00000000"))
    with pytest.raises(OSError, match="should begin with 00000000"):
        kd.DeiT.from_preset(name)


def test_a_repository_on_the_hub_is_loaded(server, published):
    server.add_to_hub("someone/student", published[0].read_bytes(), revision="v2")
    assert kd.DeiT.from_preset("hf://someone/student@v2").image_size == (224, 224)
    with pytest.raises(OSError, match="'someone/student' on the hub has none of"):
        kd.DeiT.from_preset("hf://someone/student")


@pytest.mark.parametrize("name", ["hf://timm", "hf://someone/student/main", "hf://https://huggingface.co/a/b"])
def test_a_repository_without_an_owner_is_refused(name):
    with pytest.raises(ValueError, match="A repository on the hub is written hf://owner/repository"):
        kd.DeiT.from_preset(name)


@pytest.mark.parametrize("name", ["timm_two_tokens", "timm_one_token", "official_deit3", "transformers_two_tokens"])
def test_a_local_file_is_loaded(name):
    variant = "deit3_s" if "deit3" in name else "deit_s"
    model = kd.DeiT.from_preset(path(name), variant=variant, **SMALL)
    assert model.image_size == (32, 32)
    assert model.num_classes == 5
    for head, logits in expected_logits(name).items():
        np.testing.assert_allclose(logits_of(model)[head], logits, atol=1e-4)


def test_the_architecture_of_a_convnet_is_inferred():
    model = kd.RegNetY.from_preset(path("timm_regnety"))
    np.testing.assert_allclose(
        model.predict(goldens()["images"], **PREDICTED), expected_logits("timm_regnety")["class"], atol=1e-4
    )


def test_published_shapes_need_no_variant(published):
    model = kd.DeiT.from_preset(published[0].parent)
    assert (model.backbone.hidden_dim, model.backbone.num_heads) == (192, 3)


def test_a_warning_names_other_classes_image_size_and_tokens(published):
    with pytest.warns(UserWarning, match="class head is not loaded.*") as warned:
        model = kd.DeiT.from_preset(
            published[0], num_classes=7, image_size=(96, 64), distilled=False, drop_path_rate=0.1
        )
    assert "Positions resized from 14×14 to 6×4 patches." in str(warned[0].message)
    assert "the distillation token and its head are dropped" in str(warned[0].message)
    assert warned[0].filename == __file__
    assert (model.num_classes, model.image_size, model.distilled) == (7, (96, 64), False)
    assert model.backbone.drop_path_rate == 0.1


@pytest.mark.parametrize(
    ("model", "preset", "message"),
    [
        (kd.DeiT, "deit_tiny_destilled_patch16_224", "no such file or directory.*deit_tiny_distilled_patch16_224"),
        (kd.DeiT, "nowhere/model.safetensors", "There is no file 'nowhere/model.safetensors'"),
        (kd.DeiT, "nowhere/model", "no such file or directory"),
        (kd.DeiT, "deit_ti", "It is a variant, which `from_variant` builds with random weights"),
        (kd.DeiT, "regnety_160", "'regnety_160' is of another model. Presets of this model: deit_tiny_patch16_224"),
        (kd.RegNetY, "deit_tiny_patch16_224", "is of another model. Presets of this model: regnety_160"),
        (
            kd.RegNetY,
            path("timm_deit3"),
            "of the family 'regnety', but .*timm_deit3.safetensors' is of the family 'deit'",
        ),
        (
            kd.DeiT,
            path("timm_regnety"),
            "of the family 'deit', but .*timm_regnety.safetensors' is of the family 'regnety'",
        ),
        (kd.DeiT, path("timm_one_token"), "No published variant fits .*hidden_dim=16, num_layers=2.*`num_heads="),
    ],
)
def test_invalid_sources_are_refused(model, preset, message):
    with pytest.raises(ValueError, match=message):
        model.from_preset(preset)


def test_arguments_that_no_tensor_determines_are_read_from_the_file(tmp_path):
    options = dict(hidden_dim=24, num_heads=6, num_layers=2, patch_size=8, image_size=(16, 32), layer_norm_epsilon=1e-3)
    model = kd.DeiT(num_classes=3, **options)
    kd.weights.to_timm(model, tmp_path / "model.safetensors")
    again = kd.DeiT.from_preset(tmp_path / "model.safetensors")
    assert again.get_config() == {**model.get_config(), "image_size": (16, 32)}
    square = kd.DeiT(num_classes=3, **{**options, "image_size": 32})
    kd.weights.to_huggingface(square, tmp_path / "directory")
    again = kd.DeiT.from_preset(tmp_path / "directory")
    # 32 pixels of int(32 / 0.875): the official evaluation, which is written for a model without a record
    assert again.preprocessing == kd.Preprocessing(crop_ratio=32 / 36)
    assert again.get_config() == {**square.get_config(), "preprocessing": again.preprocessing.get_config()}
    with pytest.raises(ValueError, match="The weights need num_heads=6 .*Received: num_heads=3"):
        kd.DeiT.from_preset(tmp_path / "directory", num_heads=3)


def test_rectangular_image_sizes_survive_a_round_trip(tmp_path):
    for image_size, prefix in (
        ((16, 24), {}),
        ((16, 56), {}),
        ((8, 32), dict(distilled=False, prefix_positions=False)),
    ):
        model = kd.DeiT(image_size=image_size, **{**SMALL, **prefix}, num_classes=3)
        file = kd.weights.to_timm(model, tmp_path / "model.safetensors")
        tensors = open_checkpoint(file).tensors
        stated = {"model": tensors, "keras_deit": {"image_size": list(image_size)}}
        unambiguous = () if image_size == (8, 32) else (tensors,)  # four patches without a size are taken for 2 × 2
        for source in (file, stated, *unambiguous):
            again = kd.DeiT(image_size=image_size, **{**SMALL, **prefix}, num_classes=3)
            assert kd.weights.load(again, source).notes == ()
            for mine, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
                np.testing.assert_array_equal(mine, theirs)


def test_a_file_without_heads_gets_fresh_heads_for_the_given_classes(tmp_path):
    backbone = kd.DeiT(**SHAPE).backbone
    file = kd.weights.to_timm(backbone, tmp_path / "backbone.safetensors")
    with pytest.raises(ValueError, match="There is no head in .*: pass `num_classes=...`"):
        kd.DeiT.from_preset(file)
    with pytest.warns(UserWarning, match="Fresh weights: class_head/kernel, class_head/bias"):
        model = kd.DeiT.from_preset(file, num_classes=7)
    assert model.num_classes == 7
    np.testing.assert_array_equal(model.backbone.get_weights()[0], backbone.get_weights()[0])
    with pytest.raises(ValueError, match="DeiTBackbone has no classes. Received: num_classes=7"):
        kd.DeiTBackbone.from_preset(file, num_classes=7)


def test_pre_trained_backbones_are_loaded_by_path(tmp_path):
    masked = kd.DeiTMaskedImageModel(**{name: value for name, value in SHAPE.items() if name != "num_classes"})
    kd.weights.to_huggingface(masked, tmp_path / "masked")
    backbone = kd.DeiTBackbone.from_preset(tmp_path / "masked")
    with pytest.warns(UserWarning, match="Fresh weights: class_head/kernel"):
        deit = kd.DeiT.from_preset(tmp_path / "masked", num_classes=3)
    for model in (backbone, deit.backbone):
        for mine, theirs in zip(model.get_weights(), masked.backbone.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_two_tokens_with_one_head_use_that_head():
    with pytest.warns(UserWarning, match="Fresh weights: distillation_head/kernel.*Only the class head is used"):
        classifier = kd.DeiTClassifier.from_preset(path("transformers_class_head"), num_heads=2)
    assert classifier.fusion == "class"
    logits = classifier.predict(goldens()["images"], **PREDICTED)
    np.testing.assert_allclose(logits, expected_logits("transformers_class_head")["class"], atol=1e-4)


def test_another_variant_than_the_files_is_refused(published):
    with pytest.raises(
        ValueError, match="The variant 'deit_small' does not fit .*hidden_dim=192.*that fits is deit_ti"
    ):
        kd.DeiT.from_preset(published[0], variant="deit_small")


def test_a_preset_keeps_the_preparation_and_the_classes_of_its_published_accuracy(tmp_path, monkeypatch):
    pytest.importorskip("safetensors", reason="the weights are in its format")
    model = kd.DeiT(num_classes=1000, **{**SMALL, "distilled": False})
    file = kd.weights.to_timm(model, tmp_path / "model.safetensors")
    monkeypatch.setattr(presets, "_find_or_download", lambda preset: file)
    presets_of_crop_ratios = {0.875: ("deit_tiny_patch16_224", "regnety_160"), 1.0: ("deit3_small_patch16_224",)}
    for crop_ratio, names in presets_of_crop_ratios.items():
        for name in names:
            checkpoint, _ = presets.open_preset(name)
            assert checkpoint.preprocessing == kd.Preprocessing(crop_ratio=crop_ratio)
            assert checkpoint.class_names == imagenet.class_names()


def test_a_published_convnet_gets_images_of_224_pixels(tmp_path, monkeypatch):
    pytest.importorskip("safetensors", reason="the weights are in its format")
    arguments = dict(widths=(8,), depths=(1,), group_width=8)
    monkeypatch.setitem(VARIANTS, "regnety_002", dataclasses.replace(VARIANTS["regnety_002"], arguments=arguments))
    file = kd.weights.to_timm(kd.RegNetY(**arguments), tmp_path / "model.safetensors")
    monkeypatch.setattr(presets, "_find_or_download", lambda preset: file)
    model = kd.pretrained("regnety_002")
    assert model.image_processor().image_size == (224, 224)
    assert kd.Teacher(model).image_size is None  # as a teacher it gets images of the student's size
