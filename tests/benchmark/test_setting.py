"""What is measured: floating-point operations, precision and the random batch."""

import numpy as np
import pytest

from keras_deit.benchmark.setting import multiply_adds
from keras_deit.models import get_variant


# One token. The expected values are timm's, in billions, which count slightly more than the matrix products.
@pytest.mark.parametrize(("variant", "published"), [("deit_ti", 1.26), ("deit_s", 4.61), ("deit_b", 17.58)])
def test_multiply_adds_are_the_published_ones(variant, published):
    arguments = {**get_variant(variant).arguments, "distilled": False}
    assert multiply_adds(**arguments) / 1e9 == pytest.approx(published, rel=0.006)


def test_multiply_adds_of_a_model_counted_by_hand(make_setting):
    # 4 patches and 2 tokens: patch embedding; projections and MLP; attention; two heads
    expected = 4 * 768 * 12 + 6 * (4 * 144 + 8 * 144) + 2 * 36 * 12 + 2 * 12 * 1000
    assert multiply_adds(**make_setting().architecture) == expected


def test_training_takes_three_times_the_operations_and_mixed_precision(make_setting):
    inference, training = make_setting("inference", "bfloat16"), make_setting("training", "bfloat16")
    assert inference.step_flops == 2 * 2 * multiply_adds(**inference.architecture)
    assert training.step_flops == 3 * inference.step_flops
    assert (inference.policy, training.policy) == ("bfloat16", "mixed_bfloat16")
    assert make_setting("training", "float32").policy == "float32"


def test_the_random_batch_is_the_same_for_every_implementation(make_setting):
    (images, labels), (again, _) = make_setting().random_batch(), make_setting().random_batch()
    assert (images.shape, images.dtype, labels.shape) == ((2, 32, 32, 3), np.float32, (2,))
    np.testing.assert_array_equal(images, again)
