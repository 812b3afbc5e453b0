"""The student of a run."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.data import ImageData
from keras_deit.training.checkpoint import restore_state, state_of
from keras_deit.training.resolve import resolve
from keras_deit.training.run_data import RunData
from keras_deit.training.student import make_student, suitable_patch_size

NOISE = ImageData("noise", np.zeros((4, 16, 16, 3), "uint8"), np.arange(4) % 3, ("a", "b", "c"))


def student_of(**given):
    settings = resolve({"variant": "deit_short", **given})
    return make_student(settings, RunData(settings, NOISE, NOISE, {}, {}))


pytestmark = pytest.mark.usefixtures("short_runs")  # which have the variant


def test_the_student_fits_the_images_and_the_settings():
    student = student_of(drop_path_rate=0.2, precision="bfloat16")
    assert student.image_size == (16, 16)
    assert student.class_names == ("a", "b", "c")
    assert student.backbone.patch_size == 4
    assert {name: output.shape for name, output in student.output.items()} == {
        "class": (None, 3),
        "distillation": (None, 3),
    }
    assert student.dtype_policy.name == "mixed_bfloat16"
    assert student.backbone.get_config()["drop_path_rate"] == 0.2


def test_settings_take_precedence_over_the_images():
    student = student_of(image_size=32, patch_size=16, distillation="none")
    assert (student.image_size, student.backbone.patch_size) == ((32, 32), 16)
    assert set(student.output) == {"class"}


@pytest.mark.parametrize(("size", "patch"), [(8, 4), (24, 4), (30, 3), (96, 12), (127, 1), (128, 16), (384, 16)])
def test_the_patch_size_divides_the_image_size(size, patch):
    assert suitable_patch_size(size, published=16) == patch


def test_a_student_starts_from_saved_weights(tmp_path):
    pytest.importorskip("safetensors", reason="the weights go through its format")
    saved = kd.DeiT.from_variant("deit_short", num_classes=5, image_size=8, patch_size=4)
    saved.save(tmp_path / "student.keras")
    student = student_of(weights=str(tmp_path / "student.keras"))
    assert student.image_size == (16, 16)
    assert student.class_names == ("a", "b", "c")
    same = 0
    for ours, theirs in zip(student.backbone.weights, saved.backbone.weights, strict=True):
        if ours.shape == theirs.shape:  # all but the positions of the patches
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(ours), keras.ops.convert_to_numpy(theirs))
            same += 1
    assert same >= len(student.backbone.weights) - 1


def test_a_larger_image_size_keeps_the_distillation(tmp_path):
    """Fine-tuning from 224 to 384 pixels: both tokens and heads are kept, and the positions are those of `load`."""
    pytest.importorskip("safetensors", reason="the weights go through its format")
    arguments = {"num_classes": 3, "class_names": ("a", "b", "c"), "patch_size": 16}
    saved = kd.DeiT.from_variant("deit_short", image_size=224, **arguments)
    saved.save(tmp_path / "student.keras")
    student = student_of(weights=str(tmp_path / "student.keras"), image_size=384)
    assert (student.image_size, student.num_prefix_tokens) == ((384, 384), 2)
    for head in ("class_head", "distillation_head"):
        for ours, theirs in zip(
            student.get_layer(head).get_weights(), saved.get_layer(head).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
    larger = kd.pretrained(tmp_path / "student.keras", image_size=384)
    for ours, theirs in zip(student.get_weights(), larger.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_weights_of_another_variant_are_refused(tmp_path):
    pytest.importorskip("safetensors", reason="the weights go through its format")
    kd.DeiT.from_variant("deit_short", num_classes=3, image_size=16, patch_size=4).save(tmp_path / "student.keras")
    with pytest.raises(ValueError, match="The variant 'deit_s' does not fit the model .* which has hidden_dim=192"):
        student_of(variant="deit_s", weights=str(tmp_path / "student.keras"))


def test_frozen_weights_begin_unfrozen(tmp_path):
    pytest.importorskip("safetensors", reason="the weights go through its format")
    saved = kd.DeiT.from_variant("deit_short", num_classes=3, image_size=16, patch_size=4)
    saved.freeze(up_to=1)
    saved.save(tmp_path / "student.keras")
    student = student_of(weights=str(tmp_path / "student.keras"))
    assert len(student.trainable_variables) > len(saved.trainable_variables)
    assert student.backbone.blocks[0].trainable


def test_a_student_can_be_smaller_than_its_variant():
    student = student_of(num_layers=1, num_heads=2)
    backbone = student.backbone
    assert (backbone.num_layers, backbone.num_heads, backbone.hidden_dim) == (1, 2, 128)  # 64 channels for each head
    assert backbone.intermediate_dim == 512


def test_a_shorter_student_starts_from_the_first_blocks(tmp_path):
    pytest.importorskip("safetensors", reason="the weights go through its format")
    saved = kd.DeiT.from_variant("deit_short", num_layers=3, num_classes=3, image_size=16, patch_size=4)
    saved.save(tmp_path / "student.keras")
    with pytest.warns(UserWarning, match="The first 2 of 3 blocks are used"):
        student = student_of(weights=str(tmp_path / "student.keras"), num_layers=2)
    for ours, theirs in zip(student.backbone.blocks, saved.backbone.blocks[:2], strict=True):
        for value, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_array_equal(value, expected)
    with pytest.raises(ValueError, match="Missing in the checkpoint: blocks.3.norm1.weight"):
        student_of(weights=str(tmp_path / "student.keras"), num_layers=4)
    with pytest.raises(ValueError, match="The weights need num_heads=3 .* Received: num_heads=2"):
        student_of(weights=str(tmp_path / "student.keras"), num_layers=2, num_heads=2)


def test_a_student_with_lora_is_restored_from_a_checkpoint(tmp_path):
    pytest.importorskip("safetensors", reason="the weights go through its format")
    kd.DeiT.from_variant("deit_short", num_classes=3, image_size=16, patch_size=4).save(tmp_path / "student.keras")
    given = {"weights": str(tmp_path / "student.keras"), "lora_rank": 2}
    students = [student_of(**given), student_of(**given)]
    trained = {variable.path.split("/")[-1] for variable in students[0].backbone.trainable_variables}
    assert trained == {"lora_kernel_a", "lora_kernel_b"}
    models = [kd.DeiTClassifier(student) for student in students]
    images, labels = np.random.RandomState(0).normal(size=(4, 16, 16, 3)), np.eye(3)[[0, 1, 2, 0]]
    for model in models:
        model.compile(keras.optimizers.Adam(0.01), keras.losses.CategoricalCrossentropy(from_logits=True))
    models[0].fit(images, labels, verbose=0)
    restore_state(models[1], state_of(models[0]))
    for model in models:
        model.fit(images, labels, verbose=0)
    for ours, theirs in zip(models[1].get_weights(), models[0].get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    with pytest.raises(ValueError, match="LoRA fine-tunes trained weights. Received: lora_rank=2 without weights"):
        student_of(lora_rank=2)


def test_weights_determine_the_patch_size(tmp_path):
    with pytest.raises(ValueError, match="weights determine the patch size.*patch_size=4.*Leave --patch-size out"):
        student_of(weights=str(tmp_path / "student.keras"), patch_size=4)


def test_the_student_keeps_how_the_evaluation_prepares_images():
    assert student_of().preprocessing == kd.Preprocessing(crop_ratio=1.0)
    options = dict(crop_ratio=0.8, bit_depth=12)
    assert student_of(**options).preprocessing == kd.Preprocessing(**options)


@pytest.mark.parametrize("name", ["weights.keras", "weights.safetensors"])
def test_weights_determine_the_normalisation_and_are_loaded_by_the_names_of_classes(name, tmp_path):
    pytest.importorskip("safetensors", reason="the weights go through its format")
    record = kd.Preprocessing((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), 0.5, "box")
    arguments = dict(num_classes=3, image_size=16, class_names=("c", "a", "b"), preprocessing=record)
    saved = kd.DeiT.from_variant("deit_short", **arguments)
    saved.save(tmp_path / name) if name.endswith(".keras") else kd.weights.to_timm(saved, tmp_path / name)
    with pytest.warns(
        UserWarning, match="The heads are reordered: the checkpoint has the model's classes in another order"
    ):
        student = student_of(weights=str(tmp_path / name))
    assert student.preprocessing == kd.Preprocessing(record.mean, record.std, crop_ratio=1.0)
    for head in ("class_head", "distillation_head"):
        kernel, theirs = (model.get_layer(head).get_weights()[0] for model in (student, saved))
        np.testing.assert_array_equal(kernel, theirs[:, [1, 2, 0]])
