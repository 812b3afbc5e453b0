"""The model with one head per prefix token."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit import DeiT
from tests import numpy_reference
from tests.battery import check_model, weights_of
from tests.goldens.weights import fill, noise

SMALL = dict(num_classes=5, image_size=32, patch_size=8, num_layers=2, hidden_dim=48, num_heads=3)
HEAD = 48 * 5 + 5
BACKBONE = 8 * 8 * 3 * 48 + 48 + 2 * (4 * 48 + 48 * 144 + 144 + 48 * 48 + 48 + 2 * 48 * 192 + 192 + 48) + 2 * 48


def small(**overrides):
    return DeiT.from_variant("deit_ti", **{**SMALL, **overrides})


def test_battery_with_two_tokens():
    check_model(
        small,
        image_shape=(32, 32, 3),
        output_shapes={"class": (5,), "distillation": (5,)},
        num_parameters=BACKBONE + (2 + 18) * 48 + 2 * HEAD,
        other_sizes=[48, (16, 32)],
    )


def test_battery_with_one_token():
    check_model(
        lambda **overrides: small(distilled=False, **overrides),
        image_shape=(32, 32, 3),
        output_shapes={"class": (5,)},
        num_parameters=BACKBONE + (1 + 17) * 48 + HEAD,
        other_sizes=[],
        policies=("float32",),
    )


def test_each_head_reads_its_own_token():
    deit = fill(small())
    images = noise("images", (2, 32, 32, 3))
    weights = weights_of(deit)
    tokens, _ = numpy_reference.backbone(images.astype("float64"), weights, 2, 3)
    outputs = deit(images)
    for index, head in enumerate(("class", "distillation")):
        expected = numpy_reference.dense(tokens[:, index], numpy_reference.subweights(weights, f"{head}_head"))
        np.testing.assert_allclose(ops.convert_to_numpy(outputs[head]), expected, atol=2e-5)


@pytest.mark.parametrize("distilled", [True, False])
def test_outputs_have_the_same_structure_in_training_and_inference(distilled):
    deit = small(distilled=distilled)
    images = noise("images", (2, 32, 32, 3))
    keys = ["class", "distillation"] if distilled else ["class"]
    for outputs in (
        deit(images, training=True),
        deit(images, training=False),
        deit(images),
        deit.predict(images, verbose=0),
    ):
        assert isinstance(outputs, dict)
        assert list(outputs) == keys
        assert {tuple(logits.shape) for logits in outputs.values()} == {(2, 5)}


def test_predict_returns_the_logits_of_a_call():
    deit = fill(small())
    images = noise("images", (2, 32, 32, 3))
    predicted = deit.predict(images, verbose=0)
    for head, logits in deit(images).items():
        np.testing.assert_allclose(predicted[head], ops.convert_to_numpy(logits), atol=1e-5)


def test_call_with_attention_returns_the_logits_of_a_call():
    deit = fill(small())
    images = noise("images", (2, 32, 32, 3))
    outputs, maps = deit.call_with_attention(images)
    plain = deit(images)
    assert list(outputs) == list(plain)
    for head, logits in plain.items():
        np.testing.assert_allclose(ops.convert_to_numpy(outputs[head]), ops.convert_to_numpy(logits), atol=1e-5)
    assert [tuple(one.shape) for one in maps] == [(2, 3, 18, 18)] * 2


def test_a_one_token_model_with_attention_has_only_the_class_head():
    outputs, maps = small(distilled=False).call_with_attention(noise("images", (2, 32, 32, 3)))
    assert list(outputs) == ["class"]
    assert tuple(maps[0].shape) == (2, 3, 17, 17)


def test_both_heads_learn_with_dictionaries_of_losses_and_labels():
    deit = small(num_layers=1)
    images, labels = noise("images", (8, 32, 32, 3)), np.arange(8) % 5
    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    deit.compile("adam", loss={"class": criterion, "distillation": criterion})
    losses = deit.fit(images, {"class": labels, "distillation": labels}, epochs=8, verbose=0).history["loss"]
    assert losses[0] == pytest.approx(2 * np.log(5), abs=1)
    assert losses[-1] < 0.7 * losses[0]


def test_properties_are_those_of_the_backbone():
    deit = small(image_size=(16, 32))
    assert deit.backbone.name == "backbone"
    assert (deit.image_size, deit.distilled, deit.num_prefix_tokens, deit.num_classes) == ((16, 32), True, 2, 5)
    one = small(distilled=False)
    assert (one.distilled, one.num_prefix_tokens) == (False, 1)


def test_the_config_is_flat_and_rebuilds_the_model():
    deit = small(drop_path_rate=0.1, name="some_name", dtype="mixed_bfloat16")
    config = json.loads(json.dumps(deit.get_config()))
    assert (config["num_classes"], config["hidden_dim"], config["drop_path_rate"]) == (5, 48, 0.1)
    again = DeiT.from_config(config)
    assert (again.name, again.dtype_policy.name, again.backbone.drop_path_rate) == ("some_name", "mixed_bfloat16", 0.1)
    assert again.backbone.dtype_policy.name == "mixed_bfloat16"


def test_initial_logits_are_near_zero_and_heads_differ():
    deit = small()
    logits = deit(noise("images", (2, 32, 32, 3)))
    assert np.abs(ops.convert_to_numpy(logits["class"])).max() < 1
    for head in ("class_head", "distillation_head"):
        layer = deit.get_layer(head)
        assert ops.convert_to_numpy(layer.kernel).std() == pytest.approx(0.02, rel=0.15)
        assert not np.any(ops.convert_to_numpy(layer.bias))
    kernels = [ops.convert_to_numpy(deit.get_layer(head).kernel) for head in ("class_head", "distillation_head")]
    assert np.any(kernels[0] != kernels[1])


def test_a_weights_file_holds_every_weight(tmp_path):
    deit, other = fill(small()), small()
    deit.save_weights(tmp_path / "some.weights.h5")
    other.load_weights(tmp_path / "some.weights.h5")
    for one, two in zip(deit.weights, other.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(two))
