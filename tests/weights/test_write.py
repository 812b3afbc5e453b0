"""Written checkpoints are what timm and transformers read."""

import importlib.util
import json
import os
import warnings

import keras
import numpy as np
import pytest

import keras_deit as kd
from tests.goldens.weights import noise
from tests.weights.checkpoints import SHAPE, assert_same_tensors, goldens, logits_of, model_for, path, read

pytest.importorskip("safetensors", reason="the checkpoints are safetensors")


@pytest.mark.parametrize("name", ["timm_two_tokens", "timm_one_token", "timm_deit3", "timm_regnety"])
def test_timms_files_survive_a_round_trip(name, tmp_path):
    model = model_for(name)
    kd.weights.load(model, path(name))
    assert_same_tensors(read(kd.weights.to_timm(model, tmp_path / "model.safetensors")), read(path(name)))


def test_a_tilde_is_the_home_directory(user_home):
    model = model_for("timm_two_tokens")
    written = [
        kd.weights.to_timm(model, "~/timm.safetensors"),
        kd.weights.to_huggingface(model, "~/transformers"),
    ]
    assert written == [user_home / "timm.safetensors", user_home / "transformers"]
    assert_same_tensors(read("~/timm.safetensors"), read(user_home / "timm.safetensors"))
    assert_same_tensors(read("~/transformers"), read(user_home / "transformers"))


@pytest.mark.parametrize("name", ["transformers_two_tokens", "transformers_one_token"])
def test_transformers_files_survive_a_round_trip(name, tmp_path):
    model = model_for(name)
    kd.weights.load(model, path(name))
    assert_same_tensors(read(kd.weights.to_huggingface(model, tmp_path / "model")), read(path(name)))
    again = model_for(name)
    kd.weights.load(again, tmp_path / "model")
    for head, value in logits_of(model).items():
        np.testing.assert_array_equal(logits_of(again)[head], value)


def test_a_masked_image_model_is_written_for_transformers_but_not_for_timm(tmp_path):
    model = masked_model()
    kd.weights.load(model, path("transformers_masked"))
    assert_same_tensors(read(kd.weights.to_huggingface(model, tmp_path / "model")), read(path("transformers_masked")))
    with pytest.raises(ValueError, match="timm has no masked image model"):
        kd.weights.to_timm(model, tmp_path / "model.safetensors")


def masked_model(**layout):
    return kd.DeiTMaskedImageModel(
        **{**{name: value for name, value in SHAPE.items() if name != "num_classes"}, **layout}
    )


with_transformers = pytest.mark.skipif(
    keras.backend.backend() != "torch" or importlib.util.find_spec("transformers") is None,
    reason="transformers runs in PyTorch",
)


@with_transformers
@pytest.mark.parametrize("distilled", [True, False])
def test_transformers_loads_a_masked_image_model_with_equal_pixels(distilled, tmp_path):
    import torch
    import transformers

    model = masked_model(distilled=distilled)
    kd.weights.to_huggingface(model, tmp_path / "model")
    theirs = transformers.DeiTForMaskedImageModeling if distilled else transformers.ViTForMaskedImageModeling
    theirs, report = theirs.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(report.values())
    images, mask = goldens()["images"], goldens()["mask"]
    with torch.no_grad():
        outputs = theirs.eval()(
            torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), bool_masked_pos=torch.from_numpy(mask)
        )
    pixels = outputs.reconstruction.numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(model.predict((images, mask), verbose=0), pixels, atol=1e-4)


@with_transformers
@pytest.mark.parametrize("name", ["transformers_two_tokens", "transformers_one_token"])
def test_transformers_loads_a_deit_strictly_with_equal_logits(name, tmp_path):
    import torch
    import transformers

    model = model_for(name)
    kd.weights.to_huggingface(model, tmp_path / "model")
    architecture = json.loads((tmp_path / "model" / "config.json").read_text())["architectures"][0]
    theirs, report = getattr(transformers, architecture).from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(report.values())
    with torch.no_grad():
        outputs = theirs.eval()(torch.from_numpy(goldens()["images"].transpose(0, 3, 1, 2).copy()))
    logits = outputs.cls_logits if hasattr(outputs, "cls_logits") else outputs.logits
    np.testing.assert_allclose(logits.numpy(), logits_of(model)["class"], atol=1e-4)


@with_transformers
@pytest.mark.parametrize("name", ["DeiTForImageClassificationWithTeacher", "ViTForImageClassification"])
def test_models_of_transformers_in_memory_and_in_several_files_are_loaded_with_equal_logits(name, tmp_path):
    import torch
    import transformers

    config = {"DeiT": transformers.DeiTConfig, "ViT": transformers.ViTConfig}[name.partition("For")[0]]
    sizes = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    torch.manual_seed(0)
    theirs = getattr(transformers, name)(config(**sizes, image_size=32, patch_size=8, num_labels=5)).eval()
    theirs.save_pretrained(tmp_path / "several", max_shard_size="5KB")
    assert len(list((tmp_path / "several").glob("*.safetensors"))) > 1
    images = torch.from_numpy(goldens()["images"]).permute(0, 3, 1, 2)
    with torch.no_grad():
        outputs = theirs(pixel_values=images)
    expected = {"class": getattr(outputs, "cls_logits", outputs.logits)}
    if "DeiT" in name:
        expected["distillation"] = outputs.distillation_logits
    ours = kd.DeiT(**SHAPE, distilled="DeiT" in name, layer_norm_epsilon=1e-12)
    kd.weights.load(ours, dict(theirs.named_parameters()))  # other names than in files, as parameters with gradients
    for model in (ours, kd.pretrained(tmp_path / "several")):
        for head, value in logits_of(model).items():
            np.testing.assert_allclose(value, expected[head].numpy(), atol=1e-5)


@with_transformers
def test_a_model_of_transformers_without_heads_is_read_without_its_pooler(tmp_path):
    import torch
    import transformers

    sizes = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    theirs = transformers.DeiTModel(transformers.DeiTConfig(**sizes, image_size=32, patch_size=8)).eval()
    theirs.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="The pooler is left out"):
        ours = kd.DeiTBackbone.from_preset(tmp_path)
    images = torch.from_numpy(goldens()["images"]).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = theirs(pixel_values=images).last_hidden_state.numpy()
    np.testing.assert_allclose(ours.predict(goldens()["images"], verbose=0)["tokens"], expected, atol=1e-4)


@with_transformers
@pytest.mark.parametrize("activation", ["relu", "gelu_new"])
def test_another_activation_of_transformers_is_refused_by_name(activation, tmp_path):
    import transformers

    sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    config = transformers.ViTConfig(**sizes, image_size=32, patch_size=8, hidden_act=activation)
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"config.json' states hidden_act='{activation}', which the models .* do not"):
        kd.pretrained(tmp_path)


def test_the_extension_must_match_the_format(tmp_path):
    model = model_for("timm_one_token")
    with pytest.raises(ValueError, match="must end in .safetensors"):
        kd.weights.to_timm(model, tmp_path / "model.pth")
    with pytest.raises(ValueError, match="must end in .pth"):
        kd.weights.to_official(model, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="permissions of Unix")
def test_written_files_have_the_usual_permissions(tmp_path):
    file = kd.weights.to_timm(model_for("timm_one_token"), tmp_path / "model.safetensors")
    (tmp_path / "other").touch()
    assert file.stat().st_mode == (tmp_path / "other").stat().st_mode


needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason=".pth files need PyTorch")
KNOWN = {  # of the data of the weights
    "class_names": ("ant", "bee", "cat", "dog", "eel"),
    "preprocessing": kd.Preprocessing(mean=(0.5, 0.4, 0.3), crop_ratio=1.0, interpolation="bilinear", squash=True),
}


@needs_torch
@pytest.mark.parametrize("name", ["timm_two_tokens", "timm_deit3"])
def test_official_files_keep_the_image_size_and_the_record(name, tmp_path):
    """2 × 8 patches are as many as 4 × 4."""
    import torch

    model = model_for(name, image_size=(16, 64), layer_norm_epsilon=1e-3, **KNOWN)
    file = kd.weights.to_official(model, tmp_path / "model.pth")
    content = torch.load(file, weights_only=True)
    rebuilt = model_for(name, image_size=(16, 64), layer_norm_epsilon=1e-3, **KNOWN)
    assert kd.weights.load(rebuilt, content).notes == ()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        models = (rebuilt, kd.pretrained(file), kd.pretrained(file, image_size=(16, 64)), kd.DeiT.from_preset(file))
    for again in models:
        assert again.backbone.image_size == (16, 64)
        assert again.backbone.layer_norm_epsilon == 1e-3
        assert (again.class_names, again.preprocessing) == tuple(KNOWN.values())
        for value, expected in zip(again.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(value, expected)


@needs_torch
@pytest.mark.parametrize("name", ["timm_two_tokens", "official_deit3", "timm_regnety"])
def test_the_official_code_finds_exactly_its_names_under_model(name, tmp_path):
    import torch

    file = kd.weights.to_official(model_for(name, class_names=KNOWN["class_names"]), tmp_path / "model.pth")
    content = torch.load(file, weights_only=True)
    assert set(content["model"]) == set(read(path(name)))
    assert json.loads(json.dumps(content["keras_deit"])) == content["keras_deit"]


def test_half_precision_is_written_as_float32(tmp_path):
    model = model_for("timm_two_tokens", dtype="bfloat16")
    written = read(kd.weights.to_timm(model, tmp_path / "model.safetensors"))
    assert {value.dtype for value in written.values()} == {np.dtype("float32")}


def test_models_that_transformers_lacks_are_refused(tmp_path):
    with pytest.raises(ValueError, match="A backbone has no head"):
        kd.weights.to_huggingface(model_for("timm_one_token").backbone, tmp_path / "model")
    for name in ("timm_deit3", "timm_regnety"):
        with pytest.raises(ValueError, match="Use `keras_deit.weights.to_timm`"):
            kd.weights.to_huggingface(model_for(name), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_head_that_timm_lacks_is_refused(tmp_path):
    model = kd.DeiTClassifier(model_for("timm_two_tokens"), fusion="concat")
    with pytest.raises(ValueError, match="timm has no name for fusion_head/kernel, fusion_head/bias"):
        kd.weights.to_timm(model, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def classifier_with_two_opinions(fusion):
    model = model_for("timm_two_tokens")
    for seed, head in enumerate(("class_head", "distillation_head")):
        model.get_layer(head).set_weights([np.random.default_rng(seed).normal(size=(16, 5)), np.arange(5) * seed])
    return kd.DeiTClassifier(model, fusion=fusion)


@with_transformers
@pytest.mark.parametrize("fusion", ["class", "mean_logits"])
def test_a_fusion_that_transformers_has_is_written_in_silence(fusion, tmp_path, recwarn):
    import torch
    import transformers

    model = classifier_with_two_opinions(fusion)
    kd.weights.to_huggingface(model, tmp_path / "model")
    assert not [warning for warning in recwarn if "fusion" in str(warning.message)]
    architecture = json.loads((tmp_path / "model" / "config.json").read_text())["architectures"][0]
    theirs, report = getattr(transformers, architecture).from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys"))
    with torch.no_grad():
        expected = theirs.eval()(torch.from_numpy(goldens()["images"]).permute(0, 3, 1, 2)).logits.numpy()
    np.testing.assert_allclose(model.predict(goldens()["images"], verbose=0), expected, atol=1e-4)
    again = kd.DeiTClassifier.from_preset(tmp_path / "model")
    np.testing.assert_allclose(again.predict(goldens()["images"], verbose=0), expected, atol=1e-4)


def test_token_merging_that_is_not_written_is_said(tmp_path):
    with pytest.warns(UserWarning, match="not token_merging=1: timm merges no tokens"):
        path = kd.weights.to_timm(kd.DeiTClassifier(kd.DeiT(**SHAPE), token_merging=1), tmp_path / "model.safetensors")
    assert kd.DeiTClassifier.from_preset(path, token_merging=1, num_heads=SHAPE["num_heads"]).token_merging == 1


@pytest.mark.parametrize("fusion", ["class", "distillation", "mean_probabilities"])
def test_a_fusion_that_is_not_written_is_said(fusion, tmp_path):
    model = classifier_with_two_opinions(fusion)
    with pytest.warns(UserWarning, match=f"not their fusion='{fusion}': timm predicts the mean of both heads"):
        path = kd.weights.to_timm(model, tmp_path / "model.safetensors")
    again = kd.DeiTClassifier.from_preset(path, fusion=fusion)
    images = goldens()["images"]
    np.testing.assert_allclose(again.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-5)
    if fusion != "class":
        with pytest.warns(UserWarning, match=f"not their fusion='{fusion}': transformers predicts the mean"):
            kd.weights.to_huggingface(model, tmp_path / "model")


def model_with_lora(**options):
    model = kd.DeiT(**SHAPE, **options)
    layers = [block.attention.qkv for block in model.backbone.blocks]
    for layer in (*layers, model.backbone.blocks[0].mlp.reduction, model.get_layer("class_head")):
        layer.enable_lora(rank=2)
        layer.lora_kernel_b.assign(noise(layer.path, layer.lora_kernel_b.shape) / 5)
    return model


@pytest.mark.parametrize("write", ["to_timm", "to_huggingface"])
def test_lora_is_merged(write, tmp_path):
    model = model_with_lora()
    written = getattr(kd.weights, write)(model, tmp_path / ("a.safetensors" if write == "to_timm" else "a"))
    again = kd.DeiT(**SHAPE)
    fresh = logits_of(again)
    kd.weights.load(again, written)
    for head, value in logits_of(model).items():
        np.testing.assert_allclose(logits_of(again)[head], value, atol=1e-5)
        assert np.abs(fresh[head] - value).max() > 1e-3
    assert model.backbone.blocks[0].attention.qkv.lora_enabled
    with pytest.raises(ValueError, match="load the weights before `keras_deit.lora.enable`"):
        kd.weights.load(model, written)


def test_a_quantized_model_is_refused(tmp_path):
    model = kd.DeiT(**SHAPE)
    written = kd.weights.to_timm(model, tmp_path / "model.safetensors")
    model.quantize("int8")
    with pytest.raises(ValueError, match=r"quantized \(int8\): write it before `model.quantize`"):
        kd.weights.to_timm(model, tmp_path / "again.safetensors")
    with pytest.raises(ValueError, match=r"quantized \(int8\): load the weights before `model.quantize`"):
        kd.weights.load(model, written)
