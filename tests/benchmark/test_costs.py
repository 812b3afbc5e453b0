"""Operations and bytes of the parts of a step."""

import keras
import pytest

from keras_deit.benchmark.costs import multiply_adds, parts_of_step, regnety_multiply_adds
from keras_deit.models import get_variant
from tests.benchmark.conftest import TINY

pytestmark = pytest.mark.backend_independent


# One token. The expected values are timm's, in billions, which count slightly more than the matrix products.
@pytest.mark.parametrize(("variant", "published"), [("deit_ti", 1.26), ("deit_s", 4.61), ("deit_b", 17.58)])
def test_multiply_adds_are_the_published_ones(variant, published):
    arguments = {**get_variant(variant).arguments, "distilled": False}
    assert multiply_adds(**arguments) / 1e9 == pytest.approx(published, rel=0.006)


def test_multiply_adds_of_a_model_counted_by_hand(make_setting):
    # 4 patches and 2 tokens: patch embedding; projections and MLP; attention; two heads
    expected = 4 * 768 * 12 + 6 * (4 * 144 + 8 * 144) + 2 * 36 * 12 + 2 * 12 * 1000
    assert multiply_adds(**make_setting().architecture) == expected


# The expected values are those of Radosavovic et al., table 4, in billions. A name has one or two of their digits.
@pytest.mark.parametrize(
    ("variant", "published"),
    [("regnety_002", 0.2), ("regnety_016", 1.6), ("regnety_040", 4.0), ("regnety_160", 15.9), ("regnety_320", 32.3)],
)
def test_multiply_adds_of_a_teacher_are_the_published_ones(variant, published):
    arguments = get_variant(variant, "regnety").arguments
    assert regnety_multiply_adds(224, **arguments) / 1e9 == pytest.approx(published, rel=0.02)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch counts the operations")
@pytest.mark.parametrize("is_trained", [False, True])
def test_the_products_are_those_that_pytorch_counts(is_trained, make_setting):
    transformers = pytest.importorskip("transformers")
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    config = transformers.DeiTConfig(
        image_size=32,
        patch_size=16,
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=3,
        intermediate_size=48,
        num_labels=1000,
        attn_implementation="eager",  # two products; a fused one computes the first again in the backward pass
    )
    model = transformers.DeiTForImageClassificationWithTeacher(config)
    images = torch.zeros((2, 3, 32, 32), requires_grad=True)  # so that their gradient is counted as well
    with FlopCounterMode(display=False) as counter:
        logits = model(images).logits
        if is_trained:
            logits.sum().backward()
    parts = parts_of_step(2, is_trained, 4, **TINY)
    assert sum(part.flops for part in parts if part.is_product) == counter.get_total_flops()


def test_the_bytes_of_a_forward_pass_are_those_counted_by_hand():
    parts = {part.name: part.num_bytes for part in parts_of_step(2, False, 4, **TINY)}
    # 2 images with 4 patches of 768 numbers and 6 tokens of 12 numbers; 3 heads
    assert parts["patch embedding"] == 4 * (8 * 768 + 768 * 12 + 8 * 12)
    assert parts["QKV"] == 4 * (12 * 12 + 12 * 36 + 12 * 36)
    assert parts["attention logits"] == 4 * 2 * 3 * (6 * 4 + 4 * 6 + 6 * 6)
    assert parts["softmax"] == 4 * 2 * 2 * 3 * 36
    assert parts["norm"] == 4 * 3 * 2 * 12 * 12
    assert parts["add"] == 4 * 2 * 3 * 12 * 12
    assert "optimizer" not in parts


def test_training_adds_backward_pass_loss_and_optimizer():
    forward = {part.name: part for part in parts_of_step(2, False, 2, **TINY)}
    training = {part.name: part for part in parts_of_step(2, True, 2, **TINY)}
    assert set(training) - set(forward) == {"loss", "optimizer"}
    assert training["MLP"].flops == 3 * forward["MLP"].flops
    assert training["MLP"].num_bytes == 3 * forward["MLP"].num_bytes
    assert training["gelu"].num_bytes == 2.5 * forward["gelu"].num_bytes
    weights = 768 * 12 + 12 * 12 * 12 + 2 * 12 * 1000  # patch embedding, block, heads
    assert training["optimizer"].num_bytes == 28 * weights
    assert training["MLP"].intensity == training["MLP"].flops / training["MLP"].num_bytes
