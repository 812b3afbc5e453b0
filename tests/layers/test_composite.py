"""The config of a layer keeps what was changed in its sublayers."""

import keras
import numpy as np
import pytest

from keras_deit.layers import MLP, EncoderBlock, MultiHeadSelfAttention
from keras_deit.layers.composite import changes_of, restore_changes
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


@pytest.mark.usefixtures("quick_quantization")
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
