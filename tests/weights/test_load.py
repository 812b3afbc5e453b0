"""Models with weights of other frameworks return those frameworks' logits."""

import numpy as np
import pytest

import keras_deit as kd
from keras_deit.weights.checkpoint import open_checkpoint
from tests.weights.checkpoints import LAYOUTS, REGNETS, expected_logits, goldens, logits_of, model_for, path, read

pytest.importorskip("safetensors", reason="the checkpoints are safetensors")

NAMES = ("ant", "bee", "cat", "dog", "eel")


@pytest.mark.parametrize("name", [*LAYOUTS, *REGNETS])
def test_logits_equal_those_of_the_other_framework(name):
    model, expected = model_for(name), expected_logits(name)
    report = kd.weights.load(model, path(name))
    assert (report.unused, report.fresh, report.notes) == ((), (), ())
    assert len(report.used) == len(model.weights)
    received = logits_of(model)
    assert set(received) == set(expected)
    for head, logits in expected.items():
        assert np.std(logits) > 0.3
        np.testing.assert_allclose(received[head], logits, atol=1e-4)


def test_a_classifier_and_a_backbone_load_the_same_files():
    deit = model_for("timm_two_tokens")
    kd.weights.load(kd.DeiTClassifier(deit), path("timm_two_tokens"))
    np.testing.assert_allclose(logits_of(deit)["class"], expected_logits("timm_two_tokens")["class"], atol=1e-4)
    report = kd.weights.load(
        model_for("timm_two_tokens").backbone, path("timm_two_tokens"), ignore_prefixes=["head", "head_dist"]
    )
    assert sorted(report.unused) == ["head.bias", "head.weight", "head_dist.bias", "head_dist.weight"]


def test_another_number_of_classes_leaves_the_heads_fresh():
    model = model_for("timm_two_tokens", num_classes=3)
    before = model.get_layer("class_head").get_weights()
    report = kd.weights.load(model, path("timm_two_tokens"))
    assert sorted(report.fresh) == [
        f"{head}_head/{leaf}" for head in ("class", "distillation") for leaf in ("bias", "kernel")
    ]
    assert "The class head is not loaded: the checkpoint has 5 classes, the model 3." in str(report)
    for value, former in zip(model.get_layer("class_head").get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, former)
    other = model_for("timm_two_tokens")
    kd.weights.load(other, path("timm_two_tokens"))
    for mine, theirs in zip(model.backbone.get_weights(), other.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("image_size", "grid"), [(56, (7, 7)), ((48, 72), (6, 9))])
def test_another_image_size_resizes_only_the_positions_of_patches(image_size, grid):
    checkpoint = read(path("timm_two_tokens"))
    checkpoint["pos_embed"] = np.concatenate([np.full((1, 2, 16), 7.0), np.zeros((1, 16, 16))], axis=1).astype(
        "float32"
    )
    checkpoint["pos_embed"][:, 2:, :6] = goldens()["positions"]
    model = model_for("timm_two_tokens", image_size=image_size)
    report = kd.weights.load(model, checkpoint)
    positions = model.backbone.get_layer("prefix_tokens").get_weights()[-1]
    np.testing.assert_array_equal(positions[:, :2], 7.0)
    np.testing.assert_allclose(positions[:, 2:, :6], goldens()[f"positions/{grid[0]}x{grid[1]}"], atol=1e-5)
    assert f"Positions resized from 4×4 to {grid[0]}×{grid[1]} patches." in report.notes


# Reference: torch.nn.functional.interpolate(mode="bicubic", align_corners=False) of a grid 4 × 4 whose position i holds
# i², to 2 × 8 and to 8 × 2 patches: the first eight positions.
RESIZED_SQUARES = {
    (16, 64): [3.0518, 4.2432, 6.1279, 9.3242, 11.8633, 16.5283, 20.6006, 23.1201],
    (64, 16): [-1.8115, 2.9053, 2.7783, 12.6904, 9.7021, 27.9541, 30.1836, 59.4414],
}


@pytest.mark.parametrize("name", ["timm_two_tokens", "timm_deit3"])
@pytest.mark.parametrize("image_size", RESIZED_SQUARES)
def test_a_square_grid_is_resized_for_another_grid_of_as_many_patches(name, image_size):
    checkpoint = read(path(name))
    checkpoint["pos_embed"][:, -16:] = (np.arange(16.0) ** 2)[:, None]
    model = model_for(name, image_size=image_size)
    report = kd.weights.load(model, checkpoint)
    positions = model.backbone.get_layer("prefix_tokens").get_weights()[-1]
    np.testing.assert_allclose(positions[0, -16:-8, 0], RESIZED_SQUARES[image_size], atol=1e-4)
    grid = tuple(side // 8 for side in image_size)
    assert (
        f"Positions resized from 4×4 to {grid[0]}×{grid[1]} patches. The checkpoint does not state" in report.notes[0]
    )
    assert f'{{"image_size": {list(image_size)}}}' in report.notes[0]


def test_a_stated_image_size_keeps_the_grid_of_a_checkpoint_of_wide_images(tmp_path):
    """Four rows of four and two rows of eight are equally many patches."""
    wide = model_for("timm_two_tokens", image_size=(16, 64))
    kd.weights.to_timm(wide, tmp_path / "own.safetensors")
    safetensors = pytest.importorskip("safetensors.numpy")
    (tmp_path / "foreign").mkdir()
    safetensors.save_file(read(tmp_path / "own.safetensors"), tmp_path / "foreign" / "model.safetensors")
    (tmp_path / "foreign" / "config.json").write_text('{"image_size": [16, 64]}')
    for file in ("own.safetensors", "foreign/model.safetensors"):
        model = model_for("timm_two_tokens", image_size=(16, 64))
        assert kd.weights.load(model, tmp_path / file).notes == ()
        for value, expected in zip(model.get_weights(), wide.get_weights(), strict=True):
            np.testing.assert_array_equal(value, expected)


def test_one_token_is_copied_for_a_model_with_two():
    one, two = model_for("timm_one_token"), model_for("timm_two_tokens")
    kd.weights.load(one, path("timm_one_token"))
    report = kd.weights.load(two, path("timm_one_token"))
    assert "the distillation token, its position and head are copied from the class token" in str(report)
    class_token, distillation_token, positions = two.backbone.get_layer("prefix_tokens").get_weights()
    np.testing.assert_array_equal(class_token, distillation_token)
    np.testing.assert_array_equal(positions[:, 0], positions[:, 1])
    logits = logits_of(two)
    np.testing.assert_allclose(logits["class"], logits["distillation"], atol=1e-5)
    assert not report.fresh


def test_the_second_token_is_dropped_for_a_model_with_one():
    model = model_for("timm_one_token")
    report = kd.weights.load(model, path("timm_two_tokens"))
    assert sorted(report.unused) == ["dist_token", "head_dist.bias", "head_dist.weight"]
    assert "are dropped" in str(report)
    checkpoint = read(path("timm_two_tokens"))
    token, positions = model.backbone.get_layer("prefix_tokens").get_weights()
    np.testing.assert_array_equal(token, checkpoint["cls_token"])
    np.testing.assert_array_equal(positions, np.delete(checkpoint["pos_embed"], 1, axis=1))


def broken(change):
    checkpoint = read(path("timm_two_tokens"))
    change(checkpoint)
    return checkpoint


def rename(checkpoint):
    checkpoint["norm.wight"] = checkpoint.pop("norm.weight")


def reshape(checkpoint):
    checkpoint["blocks.1.mlp.fc1.weight"] = checkpoint["blocks.1.mlp.fc1.weight"][:-1]


def spoil(checkpoint):
    checkpoint["blocks.0.norm1.bias"][3] = np.nan


def remove(checkpoint):
    del checkpoint["blocks.1.attn.qkv.bias"]


def unsquare(checkpoint):
    checkpoint["pos_embed"] = checkpoint["pos_embed"][:, :-1]


MISSHAPED = {
    "pos_embed": (24,),
    "blocks.0.attn.qkv.weight": (48,),
    "blocks.1.mlp.fc2.weight": (16, 64, 1),
    "head.weight": (5,),
    "head.bias": (),
    "patch_embed.proj.weight": (16, 192),
}


@pytest.mark.parametrize("name", MISSHAPED)
def test_a_tensor_of_another_rank_is_refused_by_name(name):
    checkpoint = {**read(path("timm_two_tokens")), name: np.zeros(MISSHAPED[name], "float32")}
    model = model_for("timm_two_tokens")
    before = [value.copy() for value in model.get_weights()]
    with pytest.raises(ValueError, match=f"'{name}' is of shape"):
        kd.weights.load(model, checkpoint)
    for value, former in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, former)


@pytest.mark.parametrize("wrapper", ["module.", "model.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_the_prefixes_of_pytorchs_wrappers_are_removed(wrapper):
    model = model_for("timm_deit3")
    checkpoint = {wrapper + name: value for name, value in read(path("timm_deit3")).items()}
    assert not kd.weights.load(model, checkpoint).unused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            rename,
            r"Missing in the checkpoint: norm.weight \(here norm/gamma\). Unexpected in the checkpoint: norm.wight",
        ),
        (
            remove,
            r"Missing in the checkpoint: blocks.1.attn.qkv.bias \(here block_2/attention/qkv/bias\). Unexpected .*: nothing",
        ),
        (reshape, r"'blocks.1.mlp.fc1.weight' is of shape \(63, 16\), but the model's block_2/mlp/expansion/kernel"),
        (spoil, "'blocks.0.norm1.bias' holds values that are not finite"),
        (unsquare, "'pos_embed' is of shape .*no square"),
    ],
)
def test_a_checkpoint_that_does_not_match_is_refused_and_the_model_keeps_its_weights(change, message):
    model = model_for("timm_two_tokens")
    before = [value.copy() for value in model.get_weights()]
    with pytest.raises(ValueError, match=message):
        kd.weights.load(model, broken(change))
    for value, former in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, former)


def test_the_message_names_the_file():
    with pytest.raises(ValueError, match="timm_deit3.safetensors' the prefix tokens have no positions"):
        kd.weights.load(model_for("timm_one_token"), path("timm_deit3"))
    with pytest.raises(ValueError, match="does not match the checkpoint '.*timm_regnety.safetensors'"):
        kd.weights.load(model_for("timm_one_token"), path("timm_regnety"))


def test_differences_may_be_ignored_by_prefix():
    report = kd.weights.load(model_for("timm_two_tokens"), broken(rename), ignore_prefixes=["norm/gamma", "norm.wight"])
    assert (report.fresh, report.unused) == (("norm/gamma",), ("norm.wight",))


def test_a_prefix_ends_where_a_component_of_the_name_ends():
    deep = model_for("timm_two_tokens", num_layers=10)
    checkpoint = {**read(path("timm_two_tokens"))}
    for block in range(2, 10):
        for name in [name for name in checkpoint if name.startswith("blocks.1.")]:
            checkpoint[name.replace("blocks.1.", f"blocks.{block}.")] = checkpoint[name]
    lacking = {name: value for name, value in checkpoint.items() if not name.startswith(("blocks.0.", "blocks.9."))}
    with pytest.raises(ValueError, match=r"Missing in the checkpoint: blocks\.9\..*block_10"):
        kd.weights.load(deep, lacking, ignore_prefixes=["block_1"])
    report = kd.weights.load(deep, lacking, ignore_prefixes=["block_1/", "block_10"])
    assert {name.split("/")[0] for name in report.fresh} == {"block_1", "block_10"}
    with pytest.raises(ValueError, match=r"Unexpected in the checkpoint: blocks\.1\.attn"):
        kd.weights.load(model_for("timm_two_tokens", num_layers=1), checkpoint, ignore_prefixes=["blocks.10"])


def test_the_prefix_head_does_not_mean_the_distillation_head():
    with pytest.raises(ValueError, match="Unexpected in the checkpoint: head_dist"):
        kd.weights.load(model_for("timm_two_tokens").backbone, path("timm_two_tokens"), ignore_prefixes=["head"])


def test_a_prefix_without_a_list_is_refused():
    with pytest.raises(ValueError, match=r"must be a list. Pass ignore_prefixes=\['block_1'\]"):
        kd.weights.load(model_for("timm_two_tokens"), path("timm_two_tokens"), ignore_prefixes="block_1")


@pytest.mark.parametrize("prefix", ["backbone.", "net.", "encoder.", "module.backbone.", "visual.trunk."])
@pytest.mark.parametrize("name", ["timm_two_tokens", "transformers_one_token"])
def test_any_common_prefix_is_removed_and_heads_may_lack_it(name, prefix):
    tensors = read(path(name))
    is_head = {key: "classifier" in key or "head" in key for key in tensors}
    outer = prefix.removesuffix("backbone.")  # of a module that holds the backbone and the heads
    renamed = {(outer if is_head[key] else prefix) + key: value for key, value in tensors.items()}
    model = model_for(name)
    kd.weights.load(model, renamed)
    for head, expected in expected_logits(name).items():
        np.testing.assert_allclose(logits_of(model)[head], expected, atol=1e-4)


def test_one_of_several_models_is_chosen_by_its_prefix():
    tensors = read(path("timm_two_tokens"))
    both = {
        f"{model}.{key}": value * scale
        for model, scale in (("student", 0), ("teacher", 1))
        for key, value in tensors.items()
    }
    model = model_for("timm_two_tokens")
    with pytest.raises(
        ValueError, match="several models, which have these prefixes: 'student.', 'teacher.'.*weights_entry"
    ):
        kd.weights.load(model, both)
    report = kd.weights.load(model, both, weights_entry="teacher")
    assert report.notes == (f"{len(tensors)} tensors without the prefix 'teacher.' are left out.",)
    for head, expected in expected_logits("timm_two_tokens").items():
        np.testing.assert_allclose(logits_of(model)[head], expected, atol=1e-4)


@pytest.mark.parametrize("prefix", ["", "vit."])
def test_the_pooler_is_left_out_and_said(prefix):
    tensors = read(path("transformers_one_token"))
    tensors |= {f"{prefix}pooler.dense.weight": np.ones((16, 16)), f"{prefix}pooler.dense.bias": np.ones(16)}
    report = kd.weights.load(model_for("transformers_one_token"), tensors)
    assert report.notes == ("The pooler is left out.",)


def test_weights_for_another_number_of_heads_are_refused(tmp_path):
    written = kd.weights.to_timm(model_for("timm_two_tokens"), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="weights need num_heads=2 in .*model.safetensors'. Received: .*num_heads=4"):
        kd.weights.load(model_for("timm_two_tokens", num_heads=4), written)


@pytest.mark.parametrize("shape", [(16, 1, 8, 8), (16, 3, 8, 4)])
def test_other_channels_and_patches_are_refused(shape):
    tensors = {**read(path("timm_two_tokens")), "patch_embed.proj.weight": np.ones(shape, "float32")}
    with pytest.raises(
        ValueError, match="Expected square patches of images with 3 channels .* Received: patches of 8 × "
    ):
        open_checkpoint(tensors).architecture()


def test_another_epsilon_is_said(tmp_path):
    written = kd.weights.to_timm(model_for("timm_two_tokens"), tmp_path / "model.safetensors")
    report = kd.weights.load(model_for("timm_two_tokens", layer_norm_epsilon=1e-3), written)
    assert report.notes == ("The layer norms were trained with epsilon=1e-06, and the model has 0.001.",)


def test_classes_of_the_same_names_in_another_order_reorder_the_heads(tmp_path):
    source = model_for("timm_two_tokens", class_names=NAMES)
    kd.weights.load(source, path("timm_two_tokens"))
    kd.weights.to_timm(source, tmp_path / "source.safetensors")
    order = [3, 0, 4, 1, 2]
    model = model_for("timm_two_tokens", class_names=[NAMES[index] for index in order])
    report = kd.weights.load(model, tmp_path / "source.safetensors")
    assert report.notes == ("The heads are reordered: the checkpoint has the model's classes in another order.",)
    for head, logits in expected_logits("timm_two_tokens").items():
        np.testing.assert_allclose(logits_of(model)[head], logits[:, order], atol=1e-4)


def test_classes_of_other_names_leave_the_heads_fresh(tmp_path):
    source = model_for("timm_two_tokens", class_names=NAMES)
    kd.weights.to_timm(source, tmp_path / "source.safetensors")
    model = model_for("timm_two_tokens", class_names=("fox", *NAMES[1:]))
    before = model.get_layer("class_head").get_weights()
    report = kd.weights.load(model, tmp_path / "source.safetensors")
    lists = "the checkpoint's classes (ant, bee, cat, dog, eel) are not the model's (fox, bee, cat, dog, eel)"
    assert f"The heads are not loaded: {lists}." in report.notes
    assert sorted(report.unused) == ["head.bias", "head.weight", "head_dist.bias", "head_dist.weight"]
    for value, former in zip(model.get_layer("class_head").get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, former)
