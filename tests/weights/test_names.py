"""Translation of names and layouts between frameworks."""

import numpy as np
import pytest

from keras_deit.weights.names import timm_name, to_foreign_layout, to_our_layout, to_timm, to_transformers
from tests.weights.checkpoints import LAYOUTS, REGNETS, model_for, path, read


@pytest.mark.parametrize("name", ["timm_two_tokens", "timm_one_token", "timm_deit3", "timm_regnety"])
def test_every_variable_has_timms_name(name):
    names = {timm_name(variable.path) for variable in model_for(name).weights}
    assert names == {key for key in read(path(name)) if not key.endswith("num_batches_tracked")}


@pytest.mark.parametrize("name", [*LAYOUTS, *REGNETS])
def test_every_frameworks_names_are_translated_to_timms(name):
    expected = {timm_name(variable.path) for variable in model_for(name).weights}
    assert set(to_timm(read(path(name)))) == expected


@pytest.mark.parametrize(("name", "family"), [("transformers_two_tokens", "deit"), ("transformers_one_token", "vit")])
def test_transformers_names_survive_a_round_trip(name, family):
    checkpoint = read(path(name))
    again = to_transformers(to_timm(checkpoint), family)
    assert set(again) == set(checkpoint)
    for key, value in checkpoint.items():
        np.testing.assert_array_equal(again[key], value, err_msg=key)


@pytest.mark.parametrize("shape", [(3, 5), (3, 4, 6, 2)])
def test_layouts_survive_a_round_trip(shape):
    kernel = np.random.default_rng(0).normal(size=shape)
    foreign = to_foreign_layout("any/kernel", kernel)
    assert foreign.shape == ((5, 3) if len(shape) == 2 else (2, 6, 3, 4))  # outputs, inputs, height, width
    np.testing.assert_array_equal(to_our_layout("any/kernel", foreign), kernel)
    np.testing.assert_array_equal(to_our_layout("any/bias", kernel), kernel)


def test_a_query_without_key_and_value_is_refused():
    with pytest.raises(ValueError, match=r"blocks.0.attn.key.bias, blocks.0.attn.value.bias is missing"):
        to_timm({"vit.encoder.layer.0.attention.attention.query.bias": np.zeros(3)})


def test_other_variables_have_no_name():
    assert timm_name("fusion_head/kernel") is None
    assert timm_name("block_1/attention/seed") is None
