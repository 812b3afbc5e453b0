"""What `config.json` states: read or refused by name."""

import pytest

from keras_deit.weights.foreign_config import arguments_of, check_arguments

pytestmark = pytest.mark.backend_independent


def test_arguments_are_read_and_missing_ones_are_transformers_defaults():
    config = {"model_type": "deit", "image_size": [32, 64], "num_attention_heads": 2, "layer_norm_eps": 1e-5}
    assert arguments_of(config, "a") == {"image_size": [32, 64], "num_heads": 2, "layer_norm_epsilon": 1e-5}
    assert arguments_of({"model_type": "vit"}, "a") == {"num_heads": 12, "layer_norm_epsilon": 1e-12}
    assert arguments_of({"hidden_act": "gelu"}, "a") == {}


@pytest.mark.parametrize("model_type", ["deit", "vit", "vit_msn"])
@pytest.mark.parametrize(
    "stated", [{"hidden_act": "relu"}, {"hidden_act": "gelu_new"}, {"qkv_bias": False}, {"num_channels": 1}]
)
def test_another_computation_is_refused_by_name(model_type, stated):
    ((name, value),) = stated.items()
    with pytest.raises(ValueError, match=f"a.json states {name}={value!r}, which the models .* do not compute"):
        arguments_of({"model_type": model_type, **stated}, "a.json")


@pytest.mark.parametrize("stated", [{"hidden_act": "gelu"}, {"layer_type": "x"}, {"downsample_in_first_stage": False}])
def test_another_regnet_is_refused_by_name(stated):
    with pytest.raises(ValueError, match=f"states {next(iter(stated))}="):
        arguments_of({"model_type": "regnet", **stated}, "a.json")
    assert arguments_of({"model_type": "regnet", "hidden_act": "relu", "layer_type": "y"}, "a.json") == {}


@pytest.mark.parametrize(
    ("stated", "arguments"),
    [
        ({"model_args": {"num_heads": 6, "img_size": [16, 64]}}, {"num_heads": 6, "image_size": [16, 64]}),
        ({"pretrained_cfg": {"input_size": [3, 16, 64]}}, {"image_size": [16, 64]}),
        ({"pretrained_cfg": {"input_size": [3, 224, 224]}}, {}),  # the tensors may be of another size
        ({"model_args": None, "pretrained_cfg": {"input_size": None}}, {}),
    ],
)
def test_timms_arguments_that_no_tensor_determines_are_read(stated, arguments):
    assert arguments_of({"architecture": "vit_small_patch16_224", **stated}, "a.json") == arguments
    assert arguments_of({"architecture": "regnety_016", **stated}, "a.json") == {}


def test_other_architectures_are_refused():
    with pytest.raises(
        ValueError, match="a.json is of a model of the type 'beit'. Models .*deit, vit, vit_msn, regnet"
    ):
        arguments_of({"model_type": "beit"}, "a.json")
    with pytest.raises(ValueError, match="global_pool='avg'"):
        arguments_of({"architecture": "vit_base_patch16_224", "global_pool": "avg"}, "a.json")
    stated = {"act_layer": "gelu", "norm_layer": None}  # the defaults, spelt out
    assert arguments_of({"architecture": "deit_tiny_patch16_224", "model_args": stated}, "a.json") == {}
    assert arguments_of({"architecture": "regnety_160", "model_args": {"act_layer": "relu"}}, "a.json") == {}
    with pytest.raises(ValueError, match="act_layer='gelu'"):
        arguments_of({"architecture": "regnety_160", "model_args": {"act_layer": "gelu"}}, "a.json")
    with pytest.raises(ValueError, match="act_layer='relu'.*They compute act_layer='gelu' or None"):
        arguments_of({"architecture": "deit_tiny_patch16_224", "model_args": {"act_layer": "relu"}}, "a.json")
    for name, value in {"global_pool": "avg", "class_token": False}.items():
        with pytest.raises(ValueError, match=f"a.json states {name}={value!r}"):
            arguments_of({"architecture": "vit_base_patch16_224", "model_args": {name: value}}, "a.json")
    assert arguments_of({"architecture": "regnety_160", "global_pool": "avg"}, "a.json") == {}
    assert arguments_of({"architecture": "deit_tiny_patch16_224", "global_pool": "token"}, "a.json") == {}


@pytest.mark.parametrize(
    "stated",
    [
        {"num_heads": "three"},
        {"num_heads": 0},
        {"num_heads": True},
        {"image_size": "large"},
        {"image_size": [1, 2, 3]},
        {"image_size": None},
        {"layer_norm_epsilon": "small"},
        {"layer_norm_epsilon": -1.0},
        {"drop_path_schedule": 3},
    ],
)
def test_arguments_of_a_wrong_type_are_refused(stated):
    with pytest.raises(ValueError, match=f"a.json must state {next(iter(stated))} as .* Received"):
        check_arguments(stated, "a.json")


def test_one_side_stands_for_both():
    assert check_arguments({"image_size": 32, "num_heads": 3}, "a.json") == {"image_size": (32, 32), "num_heads": 3}
