"""The config of a layer keeps what was changed in its sublayers."""

import keras
import numpy as np
import pytest

from keras_deit.layers import MLP, EncoderBlock, MultiHeadSelfAttention, composite, mlp
from keras_deit.layers.composite import changes_of, restore_changes
from keras_deit.layers.dense import TokenDense
from tests.goldens.weights import noise

LAYERS = [(EncoderBlock, (2, 16)), (MLP, (16,)), (MultiHeadSelfAttention, (2,))]


def model_of(layer):
    tokens = keras.Input((5, 8))
    return keras.Model(tokens, keras.layers.Dense(2, name="head")(layer(tokens)))


def saved_and_loaded(model, folder):
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


@pytest.mark.parametrize(("layer_class", "arguments"), LAYERS)
def test_a_layer_built_as_frozen_trains_nothing(layer_class, arguments):
    model = model_of(layer_class(*arguments, trainable=False))
    assert [variable.path for variable in model.trainable_variables] == ["head/kernel", "head/bias"]


@pytest.mark.parametrize("frozen", ["attention", "mlp_norm", "mlp"])
def test_frozen_sublayers_of_a_plain_model_stay_frozen_when_saved(frozen, tmp_path):
    model = model_of(EncoderBlock(2, 16, name="block"))
    getattr(model.get_layer("block"), frozen).trainable = False
    again = saved_and_loaded(model, tmp_path)
    paths = [variable.path for variable in again.trainable_variables]
    assert not any(f"block/{frozen}/" in path for path in paths)
    assert paths == [variable.path for variable in model.trainable_variables]
    assert type(again.get_layer("block")).from_config(again.get_layer("block").get_config()).get_config() == (
        model.get_layer("block").get_config()
    )


@pytest.mark.parametrize(("layer_class", "arguments"), LAYERS)
def test_a_quantized_layer_of_a_plain_model_is_saved_and_loaded(layer_class, arguments, tmp_path):
    model = model_of(layer_class(*arguments, name="block"))
    model.quantize("int8")
    again = saved_and_loaded(model, tmp_path)
    tokens = noise("tokens", (2, 5, 8))
    np.testing.assert_array_equal(again.predict(tokens, verbose=0), model.predict(tokens, verbose=0))
    dense = [layer for layer in again.get_layer("block")._flatten_layers() if isinstance(layer, keras.layers.Dense)]
    assert {layer.quantization_mode for layer in dense} == {"int8"}


def test_nothing_is_kept_of_layers_as_built():
    block = EncoderBlock(2, 16)
    block.build((None, 5, 8))
    assert changes_of(block) == {}
    assert "sublayers" not in block.get_config()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"no_layer": {"trainable": False}}, "must name layers that exist. Received: no_layer"),
        ("attention", "must be a dictionary from paths of layers to dictionaries. Received: attention"),
        ({"attention": 1}, "must be a dictionary from paths of layers to dictionaries"),
    ],
)
def test_changes_of_other_layers_are_refused(changes, message):
    block = EncoderBlock(2, 16)
    block.build((None, 5, 8))
    with pytest.raises(ValueError, match=message):
        restore_changes(block, changes)


def test_a_sublayer_of_another_class_is_prepared_by_keras(monkeypatch):
    seen = []

    class UsersDense(TokenDense):
        def call(self, tokens, training=None):  # Keras fills in `training`
            seen.append(training)
            return super().call(tokens)

    monkeypatch.setattr(mlp, "TokenDense", UsersDense)
    block = EncoderBlock(2, 16)
    block(noise("tokens", (1, 5, 8)), training=True)
    assert seen == [True, True]


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="the hooks of PyTorch's modules")
@pytest.mark.parametrize(
    "register", ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"]
)
def test_hooks_of_a_sublayer_are_called(register):
    block, called = EncoderBlock(2, 16), []
    block.build((None, 5, 8))
    getattr(block.mlp.expansion, register)(lambda *_: called.append(True))
    block(keras.ops.ones((1, 5, 8))).sum().backward()
    assert called == [True]


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="the other backends trace the calls once")
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_keras_prepares_one_call_for_a_block(policy, monkeypatch):
    block, prepared = EncoderBlock(2, 16, drop_path_rate=0.1, layer_scale_init=0.1, dtype=policy), []
    block.build((None, 5, 8))
    tokens = keras.ops.ones((1, 5, 8), "float32" if policy == "float32" else "bfloat16")
    keras_call = keras.layers.Layer.__call__

    def count(layer, *args, **kwargs):
        prepared.append(layer.name)
        return keras_call(layer, *args, **kwargs)

    direct = keras.ops.convert_to_numpy(keras.ops.cast(block(tokens), "float32"))
    monkeypatch.setattr(keras.layers.Layer, "__call__", count)
    block(tokens)
    assert prepared == [block.name]
    monkeypatch.setattr(composite, "_can_call_directly", lambda *_: False)
    prepared_by_keras = keras.ops.convert_to_numpy(keras.ops.cast(block(tokens), "float32"))
    assert len(prepared) > 9
    np.testing.assert_array_equal(direct, prepared_by_keras)
