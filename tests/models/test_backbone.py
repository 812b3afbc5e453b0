"""The backbone against a NumPy transformer."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit import DeiT, DeiTBackbone
from tests import numpy_reference
from tests.battery import check_model, weights_of
from tests.goldens.weights import fill, noise

SMALL = dict(image_size=32, patch_size=8, num_layers=2, hidden_dim=48, num_heads=3)
HEADS = ("class_head", "distillation_head")
BLOCK = 4 * 48 + 48 * 144 + 144 + 48 * 48 + 48 + 2 * 48 * 192 + 192 + 48
PATCHES = 8 * 8 * 3 * 48 + 48


def small(variant="deit_ti", **overrides):
    return DeiTBackbone.from_variant(variant, **{**SMALL, **overrides})


def test_battery_of_deit():
    check_model(
        small,
        image_shape=(32, 32, 3),
        output_shapes={
            "tokens": (18, 48),
            "class_token": (48,),
            "distillation_token": (48,),
            "patch_tokens": (16, 48),
        },
        num_parameters=PATCHES + (2 + 18) * 48 + 2 * BLOCK + 2 * 48,
        other_sizes=[(16, 32)],
        policies=("mixed_bfloat16",),
        outputs_float32=False,
    )


def test_battery_of_deit3():
    check_model(
        lambda **overrides: small("deit3_s", **overrides),
        image_shape=(32, 32, 3),
        output_shapes={"tokens": (17, 48), "class_token": (48,), "patch_tokens": (16, 48)},
        policies=("mixed_float16",),
        num_parameters=PATCHES + (1 + 16) * 48 + 2 * (BLOCK + 2 * 48) + 2 * 48,
        other_sizes=[(16, 32)],
        outputs_float32=False,
    )


@pytest.mark.parametrize(("variant", "distilled"), [("deit_ti", True), ("deit_ti", False), ("deit3_s", False)])
@pytest.mark.parametrize("image_size", [(32, 32), (16, 32)])
def test_equals_the_formula(variant, distilled, image_size):
    backbone = fill(small(variant, distilled=distilled, image_size=image_size))
    images = noise("images", (2, *image_size, 3))
    expected, expected_maps = numpy_reference.backbone(images.astype("float64"), weights_of(backbone), 2, 3)
    outputs, maps = backbone.call_with_attention(images)
    prefix = 2 if distilled else 1
    np.testing.assert_allclose(ops.convert_to_numpy(outputs["tokens"]), expected, atol=2e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(outputs["class_token"]), expected[:, 0], atol=2e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(outputs["patch_tokens"]), expected[:, prefix:], atol=2e-5)
    assert ("distillation_token" in outputs) == distilled
    if distilled:
        np.testing.assert_allclose(ops.convert_to_numpy(outputs["distillation_token"]), expected[:, 1], atol=2e-5)
    for one, other in zip(maps, expected_maps, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(one), other, atol=1e-5)
    plain = backbone(images)
    assert sorted(plain) == sorted(outputs)
    for name, value in plain.items():
        np.testing.assert_allclose(ops.convert_to_numpy(value), ops.convert_to_numpy(outputs[name]), atol=2e-5)


def test_tokens_are_ordered_class_distillation_patches():
    backbone = fill(small())
    for block in backbone.blocks:  # zero branches: every block returns its input
        for dense in (block.attention.projection, block.mlp.reduction):
            dense.kernel.assign(np.zeros(dense.kernel.shape))
            dense.bias.assign(np.zeros(dense.bias.shape))
    weights = weights_of(backbone)
    outputs = backbone(noise("images", (2, 32, 32, 3)))
    for index, name in enumerate(("class_token", "distillation_token")):
        token = weights[f"prefix_tokens/{name}"][0, 0] + weights["prefix_tokens/positions"][0, index]
        expected = numpy_reference.layer_norm(token, numpy_reference.subweights(weights, "norm"), 1e-6)
        np.testing.assert_allclose(ops.convert_to_numpy(outputs[name])[0], expected, atol=1e-5)
        np.testing.assert_allclose(ops.convert_to_numpy(outputs["tokens"])[0, index], expected, atol=1e-5)


def test_there_is_one_attention_map_per_block_and_its_rows_sum_to_1():
    maps = fill(small()).attention_maps(noise("images", (2, 32, 32, 3)))
    assert [tuple(one.shape) for one in maps] == [(2, 3, 18, 18)] * 2
    for one in maps:
        np.testing.assert_allclose(ops.convert_to_numpy(one).sum(axis=-1), 1, atol=1e-5)


def test_drop_path_rises_linearly_in_deit():
    backbone = small(num_layers=5, drop_path_rate=0.2)
    rates = [block.attention_drop_path.rate for block in backbone.blocks]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert [block.mlp_drop_path.rate for block in backbone.blocks] == rates


def test_drop_path_is_constant_in_deit3():
    backbone = small("deit3_s", num_layers=5, drop_path_rate=0.2)
    assert [block.attention_drop_path.rate for block in backbone.blocks] == [0.2] * 5
    assert [block.mlp_drop_path.rate for block in backbone.blocks] == [0.2] * 5


def test_drop_path_acts_only_in_training():
    backbone = fill(small(drop_path_rate=0.9))
    images = np.repeat(noise("image", (1, 32, 32, 3)), 8, axis=0)
    training = ops.convert_to_numpy(backbone(images, training=True)["class_token"])
    inference = ops.convert_to_numpy(backbone(images, training=False)["class_token"])
    assert np.ptp(training, axis=0).max() > 0.1  # the examples lost different branches
    np.testing.assert_allclose(np.ptp(inference, axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(backbone(images)["class_token"]), inference, atol=1e-6)


def test_the_config_holds_the_constructor_arguments():
    config = small(drop_path_rate=0.1, dtype="mixed_bfloat16", name="some_name").get_config()
    assert DeiTBackbone.from_config(config).get_config() == config
    assert {key: config[key] for key in ("hidden_dim", "intermediate_dim", "drop_path_rate", "name")} == {
        "hidden_dim": 48,
        "intermediate_dim": 192,
        "drop_path_rate": 0.1,
        "name": "some_name",
    }


@pytest.mark.parametrize("image_size", [32, (32, 32), [32, 32]])
def test_the_image_size_is_an_integer_or_a_pair(image_size):
    assert small(image_size=image_size).image_size == (32, 32)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"image_size": 30}, "The patch must divide both sides of the image"),
        ({"image_size": (32, 30)}, r"image_size=\(32, 30\), patch_size=8"),
        ({"num_heads": 5}, "`num_heads` must divide `hidden_dim`. Received: num_heads=5, hidden_dim=48"),
        ({"num_layers": 0}, "`num_layers` must be positive. Received: num_layers=0"),
        ({"drop_path_schedule": "cosine"}, "`drop_path_schedule` must be one of .* Received: 'cosine'"),
        ({"drop_path_rate": 1.0}, "`rate` must lie in"),
    ],
)
def test_impossible_arguments_are_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        small(**overrides)


def test_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="patchsize"):
        small(patchsize=8)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [((1, 3, 32, 32), "channels-first"), ((1, 32, 64, 3), "Resize the images"), ((1, 32, 32, 1), "to 3 channels")],
)
def test_images_of_another_shape_are_refused_with_a_hint(shape, hint):
    with pytest.raises(ValueError, match=hint):
        small()(np.zeros(shape, "float32"))


def test_a_single_image_without_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"xpected.*shape"):
        small()(np.zeros((32, 32, 3), "float32"))


@pytest.mark.eager("tensorflow")
@pytest.mark.parametrize("up_to", [None, 0, 1, 2])
def test_frozen_blocks_do_not_train_and_stay_frozen_when_saved(up_to, tmp_path):
    model = DeiT(3, **{**SMALL, "num_layers": 2})
    model.freeze(up_to)
    frozen = {"patch_embedding", "prefix_tokens", "block_1", "block_2"}
    frozen = set() if up_to is None else frozen - {f"block_{number}" for number in range(up_to + 1, 3)}
    model.save(tmp_path / "model.keras")
    for student in (model, keras.saving.load_model(tmp_path / "model.keras")):
        trained = {variable.path.split("/")[0] for variable in student.trainable_variables}
        assert trained == {"patch_embedding", "prefix_tokens", "block_1", "block_2", "norm", *HEADS} - frozen
    before = {variable.path: ops.convert_to_numpy(variable) for variable in model.weights}
    model.compile("sgd", loss=dict.fromkeys(("class", "distillation"), "mse"))
    targets = dict.fromkeys(("class", "distillation"), np.ones((4, 3)))
    model.fit(noise("images", (4, 32, 32, 3)), targets, verbose=0)
    for variable in model.weights:
        same = np.array_equal(ops.convert_to_numpy(variable), before[variable.path])
        assert same == (variable.path.split("/")[0] in frozen), variable.path
    model.freeze(None)
    assert len(model.trainable_variables) == len(model.weights)


def test_frozen_blocks_of_a_configuration_stay_frozen():
    config = {**small().get_config(), "frozen_blocks": 1}
    frozen = type(small()).from_config(config)
    expected = small()
    expected.freeze(up_to=1)
    names = [[variable.path.split("/", 1)[1] for variable in model.trainable_variables] for model in (frozen, expected)]
    assert names[0] == names[1]
    assert len(names[0]) < len(small().trainable_variables)
    whole = type(small()).from_config({**small().get_config(), "trainable": False})
    assert not whole.trainable_variables


def test_a_model_built_on_frozen_features_stays_frozen_when_saved(tmp_path):
    backbone = small()
    backbone.freeze(up_to=2)
    images = keras.Input((32, 32, 3))
    maps = keras.layers.Concatenate()(backbone.features(images, blocks=(1, 2)))
    keras.Model(images, keras.layers.Conv2D(3, 1, name="masks")(maps)).save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert {variable.path.split("/")[0] for variable in again.trainable_variables} == {"masks"}


def test_features_of_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match="Expected images of shape .*Resize the images"):
        small().features(keras.Input((48, 48, 3)), blocks=(1,))


def test_freezing_the_first_blocks_trains_the_later_layers_of_a_frozen_backbone():
    backbone, expected = small(num_layers=2), small(num_layers=2)
    backbone.trainable = False
    for model in (backbone, expected):
        model.freeze(1)
    assert backbone.trainable
    trained = {variable.path.split("/")[0] for variable in backbone.trainable_variables}
    assert trained == {"block_2", "norm"}
    assert len(backbone.trainable_variables) == len(expected.trainable_variables)


def test_a_backbone_that_is_built_frozen_stays_frozen_with_frozen_blocks():
    assert not small(num_layers=2, frozen_blocks=1, trainable=False).trainable_variables


def test_freezing_a_block_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"`up_to` must lie in 0..2.*Received: up_to=3"):
        small(num_layers=2).freeze(3)


def test_features_are_the_patch_tokens_after_their_blocks():
    backbone, images = fill(small(num_layers=3)), noise("images", (2, 32, 32, 3))
    outputs = ops.convert_to_numpy(backbone(images)["patch_tokens"])
    third, first = backbone.features(images, blocks=(3, 1), norm=True)
    np.testing.assert_allclose(ops.convert_to_numpy(third), outputs.reshape(2, 4, 4, 48), atol=1e-5)
    shorter = small(num_layers=1)
    shorter.set_weights(backbone.get_weights()[:17] + backbone.get_weights()[-2:])
    expected = ops.convert_to_numpy(shorter(images)["patch_tokens"])
    np.testing.assert_allclose(ops.convert_to_numpy(first), expected.reshape(2, 4, 4, 48), atol=1e-5)


@pytest.mark.parametrize("blocks", [(), (0,), (1, 4)])
def test_features_of_blocks_that_do_not_exist_are_refused(blocks):
    with pytest.raises(ValueError, match=r"`blocks` must be numbers in 1..3"):
        small(num_layers=3).features(np.zeros((1, 32, 32, 3)), blocks=blocks)


def test_a_segmentation_head_learns_on_the_features_of_a_rectangular_image():
    keras.utils.set_random_seed(0)
    backbone = small(num_layers=2, image_size=(16, 32), distilled=False)
    images = keras.Input((16, 32, 3))
    maps = keras.layers.Concatenate()(backbone.features(images, blocks=(1, 2)))
    classes = keras.layers.Conv2D(2, 1, data_format="channels_last")(maps)  # (batch, 2, 4, classes)
    model = keras.Model(images, classes)
    examples = noise("images", (16, 16, 32, 3))
    brighter = examples.reshape(16, 2, 8, 4, 8, 3).mean(axis=(2, 4, 5)) > 0  # one label per patch
    model.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(examples, brighter.astype("int32"), epochs=30, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert any(weight is backbone.weights[0] for weight in model.weights)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="only TensorFlow traces a graph with a free batch size"
)
def test_a_traced_graph_has_no_operation_without_use():
    import tensorflow as tf

    model = small()
    traced = tf.function(lambda images: model(images, training=False)).get_concrete_function(
        tf.TensorSpec((None, 32, 32, 3), tf.float32)
    )
    outputs = {tensor.name for tensor in traced.graph.outputs}
    unused = [
        operation.name
        for operation in traced.graph.get_operations()
        if operation.outputs and not any(tensor.consumers() or tensor.name in outputs for tensor in operation.outputs)
    ]
    assert not unused
    kinds = [operation.type for operation in traced.graph.get_operations()]
    assert kinds.count("Shape") == 1  # of the batch size, for the prefix tokens
    images = noise("images", (3, 32, 32, 3))
    np.testing.assert_allclose(traced(tf.constant(images))["tokens"], model(images)["tokens"], atol=1e-5)
