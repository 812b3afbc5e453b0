"""What is measured: floating-point operations, precision and the random batch."""

import numpy as np

from keras_deit.benchmark.costs import multiply_adds, regnety_multiply_adds
from keras_deit.models import get_variant


def test_training_takes_three_times_the_operations_and_mixed_precision(make_setting):
    inference, training = make_setting("inference", "bfloat16"), make_setting("training", "bfloat16")
    assert inference.model_flops == 2 * 2 * multiply_adds(**inference.architecture)
    assert training.model_flops == make_setting("distillation").model_flops == 3 * inference.model_flops
    assert (inference.policy, training.policy) == ("bfloat16", "mixed_bfloat16")
    assert make_setting("training", "float32").policy == "float32"
    assert make_setting("distillation", "bfloat16").policy == "mixed_bfloat16"


def test_the_teachers_operations_are_those_of_its_forward_pass(make_setting):
    setting = make_setting("distillation", "bfloat16", teacher="regnety_016")
    arguments = get_variant("regnety_016", "regnety").arguments
    assert setting.teacher_flops == 2 * 2 * regnety_multiply_adds(32, **arguments)


def test_the_parts_are_those_of_the_step(make_setting):
    names = [part.name for part in make_setting("distillation", "bfloat16").parts]
    assert "optimizer" in names
    inference, half = make_setting().parts, make_setting(precision="bfloat16").parts
    assert "optimizer" not in [part.name for part in inference]
    assert sum(part.num_bytes for part in inference) == 2 * sum(part.num_bytes for part in half)


def test_the_random_batch_is_the_same_for_every_implementation(make_setting):
    (images, labels), (again, _) = make_setting().random_batch(), make_setting().random_batch()
    assert (images.shape, images.dtype, labels.shape) == ((2, 32, 32, 3), np.float32, (2,))
    np.testing.assert_array_equal(images, again)
