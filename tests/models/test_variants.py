"""The table of variants against the published parameter counts."""

import json

import keras
import pytest

from keras_deit import DeiT, DeiTBackbone, DeiTClassifier, list_variants
from keras_deit.models import get_variant

TWO_TOKENS = {
    "deit_ti": 5_910_800,
    "deit_s": 22_436_432,
    "deit_b": 87_338_192,
    "deit_b_384": 87_630_032,
}
ONE_TOKEN = {
    "deit_ti": 5_717_416,
    "deit_s": 22_050_664,
    "deit_b": 86_567_656,
    "deit_b_384": 86_859_496,
    "deit3_s": 22_059_496,
    "deit3_s_384": 22_205_416,
    "deit3_m": 38_849_512,
    "deit3_b": 86_585_320,
    "deit3_b_384": 86_877_160,
    "deit3_l": 304_374_760,
    "deit3_l_384": 304_763_880,
    "deit3_h": 632_126_440,
}
DEIT3 = [name for name in ONE_TOKEN if name.startswith("deit3")]


@pytest.fixture
def unallocated():
    """Models built in the test have variables without values, since a DeiT III H would take 2.5 GB."""
    with keras.StatelessScope(initialize_variables=False):
        yield
    keras.utils.clear_session()  # otherwise the next scope would initialise the variables


@pytest.mark.backend_independent
@pytest.mark.parametrize("name", TWO_TOKENS)
def test_two_tokens_have_the_published_number_of_parameters(name, unallocated):
    assert DeiT.from_variant(name, distilled=True).count_params() == TWO_TOKENS[name]


@pytest.mark.backend_independent
@pytest.mark.parametrize("name", ONE_TOKEN)
def test_one_token_has_the_published_number_of_parameters(name, unallocated):
    assert DeiT.from_variant(name, distilled=False).count_params() == ONE_TOKEN[name]


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("deit_ti", 2),
        pytest.param("deit_b_384", 2, marks=pytest.mark.backend_independent),
        ("deit3_s", 1),
        *(pytest.param(name, 1, marks=pytest.mark.backend_independent) for name in DEIT3 if name != "deit3_s"),
    ],
)
def test_default_number_of_tokens_is_the_published_one(name, tokens, unallocated):
    expected = (TWO_TOKENS if tokens == 2 else ONE_TOKEN)[name]
    for model in (DeiT.from_variant(name), DeiTClassifier.from_variant(name)):
        assert model.num_prefix_tokens == tokens
        assert model.count_params() == expected


def test_backbone_of_a_variant_has_all_but_the_heads(unallocated):
    assert DeiTBackbone.from_variant("deit_ti").count_params() == TWO_TOKENS["deit_ti"] - 2 * (192 * 1000 + 1000)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("name", "image_size", "patch_size", "width", "heads", "layers"),
    [
        ("deit_ti", 224, 16, 192, 3, 12),
        ("deit_s", 224, 16, 384, 6, 12),
        ("deit_b", 224, 16, 768, 12, 12),
        ("deit_b_384", 384, 16, 768, 12, 12),
        ("deit3_m", 224, 16, 512, 8, 12),
        ("deit3_l_384", 384, 16, 1024, 16, 24),
        ("deit3_h", 224, 14, 1280, 16, 32),
    ],
)
def test_architecture_is_the_published_one(name, image_size, patch_size, width, heads, layers, unallocated):
    backbone = DeiTBackbone.from_variant(name)
    assert backbone.image_size == (image_size, image_size)
    assert (backbone.patch_size, backbone.hidden_dim) == (patch_size, width)
    assert (backbone.num_heads, backbone.num_layers) == (heads, layers)
    assert backbone.intermediate_dim == 4 * width
    assert backbone.layer_norm_epsilon == 1e-6
    is_deit3 = name.startswith("deit3")
    assert backbone.prefix_positions == (not is_deit3)
    assert backbone.layer_scale_init == (1e-4 if is_deit3 else None)
    assert backbone.drop_path_schedule == ("constant" if is_deit3 else "linear")


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("deit_tiny", "deit_ti"),
        ("deit_small", "deit_s"),
        ("deit_base", "deit_b"),
        ("deit_base_384", "deit_b_384"),
        ("deit3_small", "deit3_s"),
        ("deit3_medium", "deit3_m"),
        ("deit3_large_384", "deit3_l_384"),
        ("deit3_huge", "deit3_h"),
    ],
)
def test_long_names_are_aliases(alias, name):
    assert get_variant(alias) is get_variant(name)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [("deit_bb", "deit_b"), ("deit_b_383", "deit_b_384"), ("deit-tiny", "deit_tiny"), ("deit3_xl", "deit3_l")],
)
def test_an_unknown_variant_is_refused_with_similar_names(unknown, nearest):
    with pytest.raises(ValueError, match=f"There is no variant '{unknown}'. Similar names: ") as error:
        DeiT.from_variant(unknown)
    suggestions = str(error.value).split("Similar names: ")[1].split(". ")[0]
    assert nearest in suggestions.split(", ")


@pytest.mark.backend_independent
def test_a_name_without_similar_ones_is_refused_with_all_names():
    with pytest.raises(ValueError, match=r"There is no variant 'xyzzy'.*deit_ti, deit_s, deit_b, deit_b_384, deit3_s"):
        get_variant("xyzzy")


@pytest.mark.backend_independent
def test_variants_are_listed_as_data():
    rows = {row["name"]: row for row in list_variants()}
    assert {name: rows[name]["parameters"] for name in TWO_TOKENS} == TWO_TOKENS
    assert {name: rows[name]["parameters"] for name in DEIT3} == {name: ONE_TOKEN[name] for name in DEIT3}
    assert json.loads(json.dumps(list_variants())) == list_variants()
    for row in rows.values():
        assert sorted(row) == ["family", "image_size", "name", "parameters", "source", "top1"]
        assert "arXiv" in row["source"]


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("name", "image_size", "top1"),
    [("deit_ti", 224, 74.476), ("deit_b", 224, 83.372), ("deit_b_384", 384, 85.224), ("deit3_l_384", 384, 85.8)],
)
def test_listed_figures_are_the_published_ones(name, image_size, top1):
    (row,) = (row for row in list_variants() if row["name"] == name)
    assert (row["image_size"], row["top1"]) == (image_size, top1)


@pytest.mark.backend_independent
def test_changing_a_listed_row_leaves_the_table_unchanged():
    list_variants()[0]["parameters"] = 0
    assert list_variants()[0]["parameters"] == 5_910_800
