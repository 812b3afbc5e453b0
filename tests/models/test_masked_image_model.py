"""Pre-training by reconstructing masked patches."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from tests.battery import check_model
from tests.goldens.weights import noise
from tests.weights.checkpoints import SHAPE, goldens, path

BACKBONE = {name: value for name, value in SHAPE.items() if name != "num_classes"}


def small(**overrides):
    return kd.DeiTMaskedImageModel(**{**BACKBONE, **overrides})


def with_masks(images):
    grid = [side // 8 for side in images.shape[1:3]]
    return [images, kd.data.random_masks(len(images), grid, block_size=1, rng=0)]


@pytest.mark.parametrize("layout", [{}, dict(distilled=False, prefix_positions=False, layer_scale_init=0.5)])
def test_battery(layout):
    backbone = kd.DeiTBackbone(**BACKBONE, **layout)
    check_model(
        lambda **overrides: small(**layout, **overrides),
        image_shape=(32, 32, 3),
        output_shapes=(32, 32, 3),
        num_parameters=backbone.count_params() + 16 + 16 * 192 + 192,
        other_sizes=[(16, 32)],
        to_inputs=with_masks,
        policies=("float32", "mixed_bfloat16") if layout else ("float32",),
    )


@pytest.fixture
def loaded():
    pytest.importorskip("safetensors", reason="the checkpoint is safetensors")
    model = small()
    report = kd.weights.load(model, path("transformers_masked"))
    assert (report.unused, report.fresh) == ((), ())
    return model


def test_pixels_and_loss_equal_those_of_transformers(loaded):
    images, mask = goldens()["images"], goldens()["mask"]
    expected = goldens()["transformers_masked/pixels"]
    assert np.std(expected) > 0.3
    np.testing.assert_allclose(loaded.predict((images, mask), verbose=0), expected, atol=1e-4)
    loaded.compile("sgd")
    for inputs in ((images, mask), {"images": images, "mask": mask}):
        loss = loaded.evaluate(inputs, verbose=0)
        np.testing.assert_allclose(loss, goldens()["transformers_masked/loss"], rtol=1e-5)


def test_masked_pixels_do_not_affect_the_output(loaded):
    images, mask = goldens()["images"], goldens()["mask"]
    masked = mask.reshape(-1, 4, 4).repeat(8, axis=1).repeat(8, axis=2)[..., None]
    pixels = loaded.predict((images, mask), verbose=0)
    np.testing.assert_array_equal(loaded.predict((np.where(masked, 7.0, images), mask), verbose=0), pixels)
    assert np.abs(loaded.predict((np.where(masked, images, 7.0), mask), verbose=0) - pixels).max() > 0.1


def test_fit_learns_to_reconstruct_images_and_a_deit_takes_the_backbone():
    digits = kd.data.load("digits", "train").resized(32).images[:16] / 127.5 - 1
    masks = kd.data.random_masks(len(digits), grid=(4, 4), rng=0)
    model = small(hidden_dim=48, num_heads=3)
    model.compile(keras.optimizers.Adam(2e-3))
    losses = model.fit((digits, masks), epochs=150, verbose=0).history["loss"]
    masked = masks.reshape(-1, 4, 4).repeat(8, axis=1).repeat(8, axis=2)
    error_of_median = np.abs(digits - np.median(digits, axis=0))[masked].mean()
    assert losses[-1] < 0.8 * error_of_median
    deit = kd.DeiT(**{**SHAPE, "hidden_dim": 48, "num_heads": 3})
    deit.backbone.set_weights(model.backbone.get_weights())
    np.testing.assert_array_equal(deit.backbone.get_weights()[0], model.get_layer("patch_embedding").get_weights()[0])


def test_with_targets_the_compiled_loss_is_used():
    model = small()
    model.compile("sgd", loss="mse")
    images, masks = with_masks(noise("images", (4, 32, 32, 3)))
    pixels = model.predict((images, masks), verbose=0)
    loss = model.evaluate((images, masks), images, verbose=0)
    np.testing.assert_allclose(loss, np.mean((pixels - images) ** 2), rtol=1e-5)


@pytest.mark.parametrize("compiled", [dict(loss="mse"), dict(metrics=["mae"])])
def test_a_compiled_loss_or_metric_without_targets_is_refused(compiled):
    model = small()
    model.compile("sgd", **compiled)
    with pytest.raises(ValueError, match="A compiled loss or metric needs target images as `y`"):
        model.fit(tuple(with_masks(noise("images", (4, 32, 32, 3)))), verbose=0)


def test_pre_training_can_start_from_published_weights(tmp_path):
    pytest.importorskip("safetensors", reason="the checkpoint is safetensors")
    with pytest.warns(UserWarning, match="Fresh weights: mask_patches/mask_token, decoder/kernel, decoder/bias"):
        model = kd.DeiTMaskedImageModel.from_preset(
            path("timm_two_tokens"), variant="deit_ti", patch_size=8, hidden_dim=16, num_layers=2, num_heads=2
        )
    deit = kd.DeiT(**SHAPE)
    kd.weights.load(deit, path("timm_two_tokens"))
    for mine, theirs in zip(model.backbone.get_weights(), deit.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_frozen_layers_stay_frozen_when_saved(tmp_path):
    model = small()
    model.freeze(up_to=1)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert {variable.path.split("/")[0] for variable in again.trainable_variables} == {
        "mask_patches",
        "block_2",
        "norm",
        "decoder",
    }


def test_the_loss_and_the_model_take_the_same_numbers_as_masked():
    images, masks = with_masks(noise("images", (4, 32, 32, 3)))
    model = small()
    model.compile("sgd")
    pixels = model.predict((images, masks), verbose=0)
    masked = masks.reshape(-1, 4, 4).repeat(8, axis=1).repeat(8, axis=2)
    numbers = np.where(masks, np.arange(1, 17) / 10, 0).astype("float32")
    loss = model.evaluate((images, numbers), verbose=0)
    np.testing.assert_allclose(loss, np.abs(pixels - images)[masked].mean(), rtol=1e-5)
