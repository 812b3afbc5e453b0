"""The base class of the models."""

import json

import keras
import ml_dtypes
import numpy as np
import pytest
from keras import ops

from keras_deit import DeiT, DeiTBackbone, DeiTClassifier, DeiTMaskedImageModel, RegNetY
from keras_deit.lora import enable, merge
from keras_deit.models.image_model import ImageModel, classification_head, head_dtype
from tests.goldens.weights import fill, noise

pytestmark = pytest.mark.eager

SMALL = dict(image_size=32, patch_size=8, num_layers=1, hidden_dim=48, num_heads=3)


@pytest.mark.parametrize("cls", [DeiTBackbone, DeiT, DeiTClassifier])
def test_every_model_is_an_image_model_and_functional(cls):
    model = cls.from_variant("deit_ti", **SMALL)
    assert isinstance(model, ImageModel)
    assert isinstance(model, keras.Model)
    assert model.input_shape == (None, 32, 32, 3)


@pytest.mark.parametrize("cls", [DeiTBackbone, DeiT])
def test_overrides_replace_the_variants_arguments(cls):
    model = cls.from_variant("deit3_s", **SMALL, distilled=True, layer_scale_init=0.1, name="some_name")
    backbone = model if cls is DeiTBackbone else model.backbone
    assert (backbone.hidden_dim, backbone.distilled, backbone.layer_scale_init) == (48, True, 0.1)
    assert (backbone.prefix_positions, backbone.drop_path_schedule) == (False, "constant")  # from the variant
    assert model.name == "some_name"


@pytest.mark.parametrize("cls", [DeiTBackbone, DeiT, DeiTClassifier])
def test_a_frozen_model_stays_frozen_in_its_config(cls):
    model = cls.from_variant("deit_ti", **SMALL)
    assert model.get_config()["trainable"] is True
    model.trainable = False
    again = cls.from_config(model.get_config())
    assert again.trainable is False
    assert again.trainable_weights == []


def freeze(*layers):
    """Returns a function that freezes the layers of these paths, for example `"backbone/block_1"`."""

    def change(model):
        for path in layers:
            inside = model
            for name in path.split("/"):
                inside = inside.get_layer(name) if isinstance(inside, keras.Model) else getattr(inside, name)
            inside.trainable = False

    return change


def train_all_after_freezing(model):
    model.freeze(1)
    model.trainable = False  # on TensorFlow, Keras ignores the assignment of the value that the attribute has already
    model.trainable = True


def freeze_all_but_the_norm(model):
    model.trainable = False
    model.backbone.get_layer("norm").trainable = True


FREEZING = {
    "plain": lambda model: None,
    "backbone": freeze("backbone"),
    "one block": freeze("backbone/block_2"),
    "parts of blocks": freeze("backbone/block_1/attention", "backbone/block_2/mlp/expansion"),
    "patch embedding": freeze("backbone/patch_embedding"),
    "heads": freeze("class_head", "distillation_head"),
    "norms": freeze("backbone/norm", "backbone/block_1/attention_norm", "backbone/block_2/mlp_norm"),
    "one variable": freeze("backbone/prefix_tokens/positions"),
    "everything": freeze("class_head", "distillation_head", "backbone"),
    "freeze(0)": lambda model: model.freeze(0),
    "freeze(1)": lambda model: model.freeze(1),
    "freeze(1), then trainable": train_all_after_freezing,
    "all but the norm": freeze_all_but_the_norm,
}


@pytest.mark.parametrize("freezing", FREEZING)
def test_a_plain_model_of_the_same_layers_and_this_one_train_the_same_variables_after_loading(freezing, tmp_path):
    model = DeiT.from_variant("deit_ti", **{**SMALL, "num_layers": 2}, num_classes=3)
    total = len(model.trainable_variables)
    FREEZING[freezing](model)
    expected = [variable.path for variable in model.trainable_variables]
    assert (len(expected) == total) == (freezing in ("plain", "freeze(1), then trainable"))
    flags = [layer.trainable for layer in model._flatten_layers()]
    if expected:
        model.compile("adam", loss=dict.fromkeys(("class", "distillation"), "mse"))
        model.fit(noise("images", (4, 32, 32, 3)), dict.fromkeys(("class", "distillation"), np.ones((4, 3))), verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [variable.path for variable in again.trainable_variables] == expected
    assert [layer.trainable for layer in again._flatten_layers()] == flags
    if expected:
        for mine, theirs in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
            np.testing.assert_array_equal(ops.convert_to_numpy(mine), ops.convert_to_numpy(theirs))
        assert int(ops.convert_to_numpy(again.optimizer.iterations)) == 1


@pytest.mark.parametrize("fusion", ["mean_logits", "concat"])
@pytest.mark.parametrize("freezing", ["backbone", "one block", "parts of blocks", "all but the norm", "freeze(0)"])
def test_a_classifier_trains_the_same_variables_after_loading(freezing, fusion, tmp_path):
    model = DeiTClassifier.from_variant("deit_ti", **{**SMALL, "num_layers": 2}, num_classes=3, fusion=fusion)
    FREEZING[freezing](model.deit)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [variable.path for variable in again.trainable_variables] == [
        variable.path for variable in model.trainable_variables
    ]


def test_a_frozen_classifier_with_one_trained_layer_stays_so_when_saved(tmp_path):
    model = DeiTClassifier.from_variant("deit_ti", **SMALL, num_classes=3)
    model.deit.trainable = False
    model.backbone.blocks[0].mlp.trainable = True
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [variable.trainable for variable in again.variables] == [variable.trainable for variable in model.variables]
    assert sum(variable.trainable for variable in again.variables) == 4


@pytest.mark.parametrize("model_class", [DeiTMaskedImageModel, RegNetY])
def test_other_models_train_the_same_variables_after_loading(model_class, tmp_path):
    if model_class is RegNetY:
        model = RegNetY(widths=(8, 16), depths=(1, 1), group_width=8, num_classes=3)
        model.get_layer("stage_1_block_1_first_norm").trainable = False
    else:
        model = DeiTMaskedImageModel.from_variant("deit_ti", **SMALL)
        model.backbone.blocks[0].attention.qkv.trainable = False
    model.get_layer("stem_convolution" if model_class is RegNetY else "decoder").trainable = False
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [variable.path for variable in again.trainable_variables] == [
        variable.path for variable in model.trainable_variables
    ]


@pytest.mark.parametrize(
    "mode",
    [pytest.param(mode, marks=pytest.mark.compiled if mode != "int4" else ()) for mode in ("int8", "int4", "float8")],
)
def test_quantization_reaches_every_dense_layer_and_is_saved(mode, tmp_path):
    model = DeiT.from_variant("deit_ti", **{**SMALL, "num_layers": 2}, num_classes=3)
    images = noise("images", (4, 32, 32, 3))
    exact = model.predict(images, verbose=0)
    model.quantize(mode)
    dense = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dense)]
    assert len(dense) == 2 * 4 + 2
    assert {layer.quantization_mode for layer in dense} == {mode}
    quantized = model.predict(images, verbose=0)
    tolerance = {"int8": 0.01, "int4": 0.1, "float8": 0.04}[mode]  # a kernel has 255, 16 or (relative) 16 steps
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").predict(images, verbose=0)
    for head in exact:
        assert 0 < np.abs(quantized[head] - exact[head]).max() < tolerance
        np.testing.assert_array_equal(again[head], quantized[head])


@pytest.mark.compiled
def test_a_quantized_classifier_is_saved_and_trains_on_after_loading(tmp_path):
    model = DeiTClassifier.from_variant("deit_ti", **SMALL, num_classes=3, fusion="sum")
    model.quantize("int8")
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    images = noise("images", (4, 32, 32, 3))
    np.testing.assert_array_equal(again.predict(images, verbose=0), model.predict(images, verbose=0))
    again.compile("sgd", "mse")
    again.fit(images, np.ones((4, 3)), verbose=0)
    assert {variable.dtype for variable in again.trainable_variables} == {"float32"}


def test_a_policy_of_quantized_layers_is_no_dtype_of_a_model():
    with pytest.raises(ValueError, match="'int8_from_float32'. Build the model, .* `model.quantize\\('int8'\\)`"):
        DeiTBackbone.from_variant("deit_ti", image_size=32, num_layers=1, dtype="int8_from_float32")


def test_other_quantizations_are_refused_with_those_that_work():
    model = DeiT.from_variant("deit_ti", **SMALL)
    config = keras.quantizers.GPTQConfig(dataset=["text"], tokenizer=str)
    with pytest.raises(ValueError, match="Keras can quantize a DeiT in 'int8', 'int4', 'float8'. Received: 'gptq'"):
        model.quantize(config=config)
    with pytest.raises(ValueError, match="Keras can quantize a RegNetY in no mode. Received: 'int8'"):
        RegNetY(widths=(8,), depths=(1,), group_width=8).quantize("int8")


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16"])
def test_heads_are_never_less_than_float32(policy):
    assert head_dtype(policy) == "float32"
    head = classification_head(3, policy, "head")
    assert keras.backend.standardize_dtype(head(np.ones((1, 4), "float32")).dtype) == "float32"


def test_heads_of_a_float64_model_are_float64():
    assert head_dtype("float64") == "float64"


def test_head_starts_normal_with_zero_biases():
    head = classification_head(1000, "float32", "head")
    head.build((None, 192))
    kernel = ops.convert_to_numpy(head.kernel)
    assert head.name == "head"
    assert kernel.std() == pytest.approx(0.02, rel=0.01)
    assert np.abs(kernel).max() > 3 * 0.02
    assert not np.any(ops.convert_to_numpy(head.bias))


@pytest.mark.parametrize("num_classes", [0, -1])
def test_num_classes_must_be_positive(num_classes):
    with pytest.raises(
        ValueError, match=f"`num_classes` must be an integer of at least 1. Received: num_classes={num_classes!r}"
    ):
        DeiT.from_variant("deit_ti", num_classes=num_classes, **SMALL)


@pytest.mark.parametrize("model_class", [DeiTBackbone, DeiT, DeiTClassifier, DeiTMaskedImageModel])
def test_a_model_can_be_copied_and_cloned(model_class):
    model = model_class.from_variant("deit_ti", **SMALL, name="some_name")
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    clone = keras.models.clone_model(model)  # a plain functional model: Keras rebuilds the layers, not the class
    clone.set_weights(model.get_weights())
    assert (type(copy), copy.name, clone.name) == (model_class, "some_name", "some_name")
    images = noise("images", (2, 32, 32, 3))
    inputs = (images, np.zeros((2, 16), "bool")) if model_class is DeiTMaskedImageModel else images
    expected = keras.tree.flatten(model.predict(inputs, verbose=0))
    for other in (copy, clone):
        for value, own in zip(keras.tree.flatten(other.predict(inputs, verbose=0)), expected, strict=True):
            np.testing.assert_allclose(value, own, atol=1e-6)
        assert not {id(variable) for variable in other.variables} & {id(variable) for variable in model.variables}


@pytest.mark.parametrize("late_fusion", [False, True])
def test_weights_of_another_grid_of_as_many_patches_are_refused(tmp_path, late_fusion):
    def model(image_size):
        deit = DeiT(num_classes=4, **{**SMALL, "image_size": image_size})
        return DeiTClassifier(deit, fusion="concat") if late_fusion else deit

    model(32).save_weights(tmp_path / "square.weights.h5")
    wide = model((16, 64))
    before = wide.backbone.get_layer("prefix_tokens").get_weights()
    with pytest.raises(ValueError, match="of 2 × 8 patches. Received: those of 4 × 4 patches.*image_size="):
        wide.load_weights(tmp_path / "square.weights.h5")
    for value, expected in zip(wide.backbone.get_layer("prefix_tokens").get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_numpy_numbers_are_arguments_like_pythons(tmp_path):
    numbers = dict(
        image_size=np.int64(32),
        patch_size=np.int32(8),
        hidden_dim=np.int64(48),
        num_layers=np.int64(2),
        num_heads=np.uint8(3),
        intermediate_dim=np.int16(300),
        distilled=np.bool_(True),
        layer_scale_init=np.float32(0.5),
        drop_path_rate=np.float64(0.25),
        frozen_blocks=np.int64(1),
    )
    deit = DeiT(num_classes=np.array([0, 4, 2]).max() + 1, **numbers)
    expected = DeiT(num_classes=5, **{name: value.item() for name, value in numbers.items()}).get_config()
    assert deit.get_config() == expected
    regnet = RegNetY(np.array([8, 16]), np.array([1, 1]), np.int64(8), num_classes=np.int64(5))
    for model in (DeiTClassifier(deit), regnet):
        json.loads(model.to_json())
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        for value, former in zip(loaded.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(value, former)


HALF = {
    "backbone": lambda: DeiTBackbone.from_variant("deit_ti", **SMALL),
    "deit": lambda: DeiT.from_variant("deit3_s", **SMALL, num_classes=3),
    "classifier": lambda: DeiTClassifier.from_variant("deit_ti", **SMALL, num_classes=3),
    "late fusion": lambda: DeiTClassifier.from_variant("deit_ti", **SMALL, num_classes=3, fusion="sum"),
    "convnet": lambda: RegNetY(widths=(16, 16), depths=(1, 1), group_width=8, num_classes=3),
}


@pytest.mark.parametrize("name", HALF)
def test_a_copy_in_bfloat16_has_rounded_weights_and_float32_heads(name):
    model = fill(HALF[name]())
    copy = model.to_dtype("bfloat16")
    assert type(copy) is type(model)
    for mine, theirs in zip(copy.weights, model.weights, strict=True):
        dtype = "float32" if "head" in mine.path else "bfloat16"
        assert (mine.dtype, theirs.dtype) == (dtype, "float32")
        expected = ops.convert_to_numpy(theirs).astype(dtype if dtype == "float32" else ml_dtypes.bfloat16)
        np.testing.assert_array_equal(ops.convert_to_numpy(mine).astype("float32"), expected.astype("float32"))


@pytest.mark.parametrize("name", HALF)
def test_a_copy_in_bfloat16_computes_the_outputs_up_to_rounding(name):
    model = fill(HALF[name]())
    images = noise("images", (4, 32, 32, 3))
    expected, received = (each(images, training=False) for each in (model, model.to_dtype("bfloat16")))
    for mine, theirs in zip(keras.tree.flatten(received), keras.tree.flatten(expected), strict=True):
        assert keras.backend.standardize_dtype(mine.dtype) == ("bfloat16" if name == "backbone" else "float32")
        mine, theirs = (ops.convert_to_numpy(tensor).astype("float32") for tensor in (mine, theirs))
        assert np.sqrt(np.mean((mine - theirs) ** 2)) < 4 * 2**-8 * np.std(theirs)  # a value has 8 significant bits


def test_a_copy_in_another_precision_is_saved_and_loaded(tmp_path):
    copy = HALF["classifier"]().to_dtype("bfloat16")
    copy.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [variable.dtype for variable in again.weights] == [variable.dtype for variable in copy.weights]
    images = noise("images", (2, 32, 32, 3))
    np.testing.assert_array_equal(*(ops.convert_to_numpy(each(images)) for each in (again, copy)))


def test_the_copy_of_a_copy_in_mixed_precision_has_float32_weights():
    copy = HALF["classifier"]().to_dtype("bfloat16").to_dtype("mixed_bfloat16")
    assert {variable.dtype for variable in copy.weights} == {"float32"}
    assert copy.backbone.blocks[0].compute_dtype == "bfloat16"


def test_a_copy_keeps_lora_and_frozen_layers():
    model = fill(HALF["deit"]())
    enable(model, rank=2)
    copy = model.to_dtype("float32")
    assert [one.trainable for one in copy.weights] == [one.trainable for one in model.weights]
    images = noise("images", (2, 32, 32, 3))
    np.testing.assert_allclose(*(ops.convert_to_numpy(each(images)["class"]) for each in (copy, model)), rtol=1e-4)


def test_a_copy_keeps_gradient_checkpointing():
    model = DeiT.from_variant("deit_ti", **{**SMALL, "num_layers": 2}, num_classes=3)
    model.backbone.blocks[1].remat = True
    assert [block.remat for block in model.to_dtype("bfloat16").backbone.blocks] == [False, True]


@pytest.mark.backend_independent
@pytest.mark.parametrize("dtype", ["int32", "bool"])
def test_a_copy_in_a_dtype_that_is_no_float_is_refused(dtype):
    with pytest.raises(
        ValueError, match=f"`dtype` must be a policy of floats, such as 'bfloat16'. Received: '{dtype}'"
    ):
        HALF["deit"]().to_dtype(dtype)


def test_a_copy_in_which_a_weight_would_become_infinite_is_refused():
    model = HALF["deit"]()
    bias = model.backbone.blocks[0].mlp.expansion.bias
    bias.assign(ops.full(bias.shape, 65536.0))
    with pytest.raises(ValueError, match="The values of '.*expansion/bias' are too large for float16"):
        model.to_dtype("float16")
    bias.assign(ops.full(bias.shape, 65504.0))
    assert ops.convert_to_numpy(model.to_dtype("float16").backbone.blocks[0].mlp.expansion.bias)[0] == 65504


def test_a_copy_of_a_model_with_lora_in_a_head_is_refused():
    model = HALF["deit"]()
    model.get_layer("class_head").enable_lora(4)
    with pytest.raises(ValueError, match="Received: LoRA in .*class_head.*lora.merge"):
        model.to_dtype("bfloat16")
    assert merge(model).to_dtype("bfloat16").get_layer("class_head").kernel.dtype == "float32"


def test_a_quantized_model_has_no_copy_in_another_precision():
    model = HALF["deit"]()
    model.quantize("int8")
    with pytest.raises(ValueError, match="Received: a quantized model. Call `to_dtype` first, then `quantize`"):
        model.to_dtype("bfloat16")
