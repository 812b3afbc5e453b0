"""Attention rollout and raw attention, compared with their definitions in float64."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.explain import attention_rollout, raw_attention
from tests.explain.models import GRID, attention_of, maps_of, random_deit, random_images

pytestmark = pytest.mark.eager
IMAGES = random_images(3)


@pytest.fixture(scope="module")
def deit():
    return random_deit()


def as_maps(rows):
    """Rows of weights of all tokens as maps of the patches that sum to 1."""
    patches = rows[:, -GRID[0] * GRID[1] :]
    return (patches / patches.sum(1, keepdims=True)).reshape(-1, *GRID)


def rollout_by_definition(attention, row, discard_ratio=0.0):
    """The products of whole matrices, from `(images, blocks, heads, tokens, tokens)`."""
    found = []
    for blocks in attention.mean(axis=2):
        product = np.eye(blocks.shape[-1])
        for matrix in blocks:
            smallest_kept = np.sort(matrix, axis=None)[int(discard_ratio * matrix.size)]
            mixed = 0.5 * np.where(matrix < smallest_kept, 0, matrix) + 0.5 * np.eye(len(matrix))
            product = np.diag(1 / mixed.sum(axis=1)) @ mixed @ product
        found.append(product[row])
    return as_maps(np.array(found))


@pytest.mark.parametrize("discard_ratio", [0.0, 0.7])
@pytest.mark.parametrize(("token", "row"), [("class", 0), ("distillation", 1)])
def test_the_rollout_is_the_product_of_the_blocks_matrices(deit, token, row, discard_ratio):
    attention = (
        maps_of(deit, IMAGES) if discard_ratio else attention_of(deit, IMAGES)
    )  # which value is less depends on rounding
    expected = rollout_by_definition(attention, row, discard_ratio)
    found = attention_rollout(deit, IMAGES, token, discard_ratio)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    np.testing.assert_allclose(found.sum((1, 2)), 1, rtol=1e-6)
    assert expected.std() > 0.005  # the attention is not uniform


def test_the_rollout_of_uniform_attention_is_uniform(deit):
    uniform = random_deit(num_layers=3)
    for block in uniform.backbone.blocks:
        block.attention.qkv.set_weights([np.zeros((16, 48)), np.zeros(48)])
    np.testing.assert_allclose(attention_rollout(uniform, IMAGES), 1 / 24, rtol=1e-5)


@pytest.mark.parametrize(("token", "row"), [("class", 0), ("distillation", 1)])
@pytest.mark.parametrize(("block", "head"), [(1, None), (1, 2), (None, 1)])
def test_raw_attention_is_a_row_of_a_map(deit, token, row, block, head):
    maps = attention_of(deit, IMAGES)[:, (block or 2) - 1, :, row]
    expected = as_maps(maps.mean(1) if head is None else maps[:, head - 1])
    np.testing.assert_allclose(raw_attention(deit, IMAGES, token, block, head), expected, rtol=1e-3)


@pytest.mark.compiled
def test_compiled_models_of_every_kind_give_the_same_maps(deit, tmp_path):
    deit = random_deit(distilled=False)
    deit.save(tmp_path / "deit.keras")
    student = kd.DeiTClassifier(deit)
    expected = rollout_by_definition(attention_of(deit, IMAGES), row=0)
    for model in (deit.backbone, student, kd.Distiller(deit), keras.models.load_model(tmp_path / "deit.keras")):
        np.testing.assert_allclose(attention_rollout(model, IMAGES), expected, rtol=1e-3)


@pytest.mark.parametrize(
    "arguments", [{"dtype": "mixed_bfloat16"}, {"layer_scale_init": 0.5, "prefix_positions": False}]
)
def test_other_precisions_and_architectures_have_maps(arguments):
    deit = random_deit(**arguments)
    expected = rollout_by_definition(maps_of(deit, IMAGES), row=0)
    np.testing.assert_allclose(attention_rollout(deit, IMAGES), expected, rtol=1e-3)


def test_lora_counts(deit):
    deit = random_deit()
    kd.lora.enable(deit, rank=2)
    before = attention_rollout(deit, IMAGES)
    for variable in deit.trainable_variables:
        variable.assign(np.random.default_rng(2).normal(size=variable.shape))
    found = attention_rollout(deit, IMAGES)
    np.testing.assert_allclose(found, rollout_by_definition(maps_of(deit, IMAGES), row=0), rtol=1e-4)
    assert abs(found - before).max() > 1e-3


def test_a_model_with_one_token_has_no_map_of_the_other():
    with pytest.raises(
        ValueError, match="token='distillation' needs a model with a distillation token, but this one has"
    ):
        attention_rollout(random_deit(distilled=False), IMAGES, "distillation")


@pytest.mark.parametrize("ratio", [-0.1, 1, float("nan")])
def test_ratios_outside_of_the_range_are_refused(deit, ratio):
    with pytest.raises(ValueError, match=r"`discard_ratio` must lie in \[0, 1\)"):
        attention_rollout(deit, IMAGES, discard_ratio=ratio)


def test_a_ratio_that_leaves_nothing_is_refused(deit):
    with pytest.raises(ValueError, match=r"The class token of image \d .*attends to no patch. Lower `discard_ratio`"):
        attention_rollout(deit, IMAGES, discard_ratio=0.999)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"token": "patch"}, r"`token` must be one of \('class', 'distillation'\)"),
        ({"block": 0}, r"`block` must be a number in 1..2, or None. Received: block=0"),
        ({"block": 3}, r"`block` must be a number in 1..2"),
        ({"head": 1.5}, r"`head` must be a number in 1..2"),
    ],
)
def test_tokens_blocks_and_heads_that_do_not_exist_are_refused(deit, arguments, message):
    with pytest.raises(ValueError, match=message):
        raw_attention(deit, IMAGES, **arguments)
