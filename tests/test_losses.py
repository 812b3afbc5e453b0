"""The distillation losses against NumPy in float64, and for extreme inputs."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit import losses

RTOL = 1e-5
BATCH, CLASSES = 6, 10


def log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def divergence(teacher_probabilities, student_probabilities):
    return np.sum(teacher_probabilities * np.log(teacher_probabilities / student_probabilities), axis=-1)


def random_logits(seed, scale=3.0):
    return np.random.default_rng(seed).normal(scale=scale, size=(BATCH, CLASSES))


def random_attention(seed, heads, patches=5, blocks=None):
    """Attention over a prefix token and the patches with the prefix cut off, so that rows do not sum to 1."""
    rng = np.random.default_rng(seed)
    maps = np.exp(log_softmax(rng.normal(size=(blocks or 1, BATCH, heads, 1 + patches, 1 + patches))))[..., 1:, 1:]
    return list(maps) if blocks else maps[0]


def gradient(function, inputs):
    """Gradient of the sum of a function's values, as NumPy."""
    inputs = ops.convert_to_tensor(np.asarray(inputs, "float32"))
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(inputs)
            total = ops.sum(function(inputs))
        return ops.convert_to_numpy(tape.gradient(total, inputs))
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(lambda values: ops.sum(function(values)))(inputs))
    inputs.requires_grad_(True)
    ops.sum(function(inputs)).backward()
    return ops.convert_to_numpy(inputs.grad)


def test_hard_distillation_is_the_cross_entropy_with_the_teachers_argmax():
    teacher, student = random_logits(0), random_logits(1)
    expected = -log_softmax(student)[np.arange(BATCH), teacher.argmax(axis=-1)]
    values = losses.hard_distillation(teacher.astype("float32"), student.astype("float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(values), expected, rtol=RTOL)


def log_sigmoid(logits):
    return -np.logaddexp(0, -logits)


def test_hard_distillation_of_several_labels_is_the_binary_cross_entropy_with_the_teachers_decisions():
    teacher, student = random_logits(0), random_logits(1)
    expected = np.mean(np.where(teacher > 0, -log_sigmoid(student), -log_sigmoid(-student)), axis=-1)
    arguments = teacher.astype("float32"), student.astype("float32")
    values = losses.hard_distillation(*arguments, multi_label=True)
    np.testing.assert_allclose(ops.convert_to_numpy(values), expected, rtol=RTOL)
    slope = gradient(lambda logits: losses.hard_distillation(arguments[0], logits, multi_label=True), student)
    np.testing.assert_allclose(slope, (np.exp(log_sigmoid(student)) - (teacher > 0)) / CLASSES, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_soft_distillation_of_several_labels_is_the_mean_divergence_of_each_class(temperature):
    teacher, student = random_logits(0), random_logits(1)
    wanted, given = (1 / (1 + np.exp(-logits / temperature)) for logits in (teacher, student))
    expected = np.mean(wanted * np.log(wanted / given) + (1 - wanted) * np.log((1 - wanted) / (1 - given)), axis=-1)
    arguments = teacher.astype("float32"), student.astype("float32")
    values = losses.soft_distillation(*arguments, temperature, multi_label=True)
    np.testing.assert_allclose(ops.convert_to_numpy(values), expected * temperature**2, rtol=1e-4)
    slope = gradient(
        lambda logits: losses.soft_distillation(arguments[0], logits, temperature, multi_label=True), student
    )
    np.testing.assert_allclose(slope, (given - wanted) * temperature / CLASSES, rtol=1e-4, atol=1e-6)
    extreme = losses.soft_distillation(np.array([[1e4, -1e4]]), np.array([[-1e2, 1e2]]), multi_label=True)
    np.testing.assert_allclose(ops.convert_to_numpy(extreme), [900 / 3 * 1.0], rtol=1e-5)


def test_hard_distillation_has_the_gradient_of_cross_entropy():
    teacher, student = random_logits(0), random_logits(1)
    expected = np.exp(log_softmax(student)) - np.eye(CLASSES)[teacher.argmax(axis=-1)]
    received = gradient(lambda logits: losses.hard_distillation(teacher.astype("float32"), logits), student)
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0, 20.0])
def test_soft_distillation_is_the_divergence_of_the_softened_distributions(temperature):
    teacher, student = random_logits(0), random_logits(1)
    softened = [np.exp(log_softmax(logits / temperature)) for logits in (teacher, student)]
    values = losses.soft_distillation(teacher.astype("float32"), student.astype("float32"), temperature)
    # The terms of the sum have both signs: the rounding error is relative to the terms, not to their sum.
    scale = np.sum(softened[0] * np.abs(np.log(softened[0] / softened[1])), axis=-1) * temperature**2
    expected = divergence(*softened) * temperature**2
    assert np.all(np.abs(ops.convert_to_numpy(values) - expected) <= RTOL * scale)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_soft_distillation_has_the_temperature_times_the_difference_of_probabilities_as_gradient(temperature):
    teacher, student = random_logits(0), random_logits(1)
    softened = [np.exp(log_softmax(logits / temperature)) for logits in (teacher, student)]
    expected = temperature * (softened[1] - softened[0])
    received = gradient(
        lambda logits: losses.soft_distillation(teacher.astype("float32"), logits, temperature), student
    )
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-6)


def test_the_default_temperature_is_3():
    teacher, student = random_logits(0), random_logits(1)
    values = losses.soft_distillation(teacher, student)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(values), ops.convert_to_numpy(losses.soft_distillation(teacher, student, temperature=3.0))
    )


def test_fixed_values():
    # log(1 + e^-2); and KL of (2/3, 1/3) to (1/2, 1/2) = 5/3 log 2 - log 3.
    hard = losses.hard_distillation(np.array([[5.0, -5.0]]), np.array([[1.0, -1.0]]))
    np.testing.assert_allclose(ops.convert_to_numpy(hard), [0.126928011], rtol=RTOL)
    soft = losses.soft_distillation(np.array([[np.log(2.0), 0.0]]), np.zeros((1, 2)), temperature=1.0)
    np.testing.assert_allclose(ops.convert_to_numpy(soft), [0.0566330123], rtol=RTOL)


@pytest.mark.parametrize(("teacher_heads", "student_heads"), [(1, 1), (4, 3)])
def test_attention_distillation_averages_the_heads_and_compares_rows_as_distributions(teacher_heads, student_heads):
    teacher, student = random_attention(0, teacher_heads), random_attention(1, student_heads)
    rows = [attention.mean(axis=1) for attention in (teacher, student)]
    rows = [attention / attention.sum(axis=-1, keepdims=True) for attention in rows]
    expected = divergence(*rows).mean(axis=-1)
    values = losses.attention_distillation(teacher.astype("float32"), student.astype("float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(values), expected, rtol=RTOL)


@pytest.mark.parametrize(
    ("teacher_blocks", "student_blocks", "expected"),
    [
        (12, 12, range(1, 13)),
        (12, 6, [2, 4, 6, 8, 10, 12]),
        (12, 5, [3, 5, 8, 10, 12]),
        (2, 3, [1, 2, 2]),
        (1, 2, [1, 1]),
    ],
)
def test_attention_distillation_spreads_the_students_blocks_over_the_teachers_rounding_up(
    teacher_blocks, student_blocks, expected
):
    # The blocks' maps differ, so the loss of a student made of teacher blocks is zero only for the expected blocks.
    teacher = random_attention(0, heads=2, blocks=teacher_blocks)
    matched = [teacher[block - 1] for block in expected]
    assert len(matched) == student_blocks
    np.testing.assert_allclose(ops.convert_to_numpy(losses.attention_distillation(teacher, matched)), 0, atol=1e-7)
    if teacher_blocks > 1:
        for block in range(student_blocks):
            wrong = list(matched)
            wrong[block] = teacher[expected[block] % teacher_blocks]
            assert ops.convert_to_numpy(losses.attention_distillation(teacher, wrong)).min() > 1e-3


def test_attention_distillation_is_the_mean_over_blocks():
    teacher, student = random_attention(0, 2, blocks=4), random_attention(1, 3, blocks=2)
    pairs = [
        losses.attention_distillation(teacher[1], student[0]),
        losses.attention_distillation(teacher[3], student[1]),
    ]
    expected = np.mean([ops.convert_to_numpy(pair) for pair in pairs], axis=0)
    values = losses.attention_distillation(teacher, student)
    np.testing.assert_allclose(ops.convert_to_numpy(values), expected, rtol=1e-6)


def test_there_is_one_value_per_example():
    teacher, student = random_logits(0), random_logits(1)
    assert tuple(losses.hard_distillation(teacher, student).shape) == (BATCH,)
    assert tuple(losses.soft_distillation(teacher, student).shape) == (BATCH,)
    attention = random_attention(0, 2, blocks=3)
    assert tuple(losses.attention_distillation(attention, attention).shape) == (BATCH,)


EXTREMES = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [1e4, 1e4, 1e4], [-1e4, -1e4, 1e4]], "float32")


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_values_and_gradients_are_finite_for_logits_of_1e4(temperature):
    teacher = np.repeat(EXTREMES, len(EXTREMES), axis=0)
    student = np.tile(EXTREMES, (len(EXTREMES), 1))  # every pair of rows
    hard = ops.convert_to_numpy(losses.hard_distillation(teacher, student))
    soft = ops.convert_to_numpy(losses.soft_distillation(teacher, student, temperature))
    # Row 0 with row 1: all of the teacher's mass is on a class that is 2e4 below the student's two largest logits.
    np.testing.assert_allclose(hard[1], 2e4 + np.log(2), rtol=RTOL)
    np.testing.assert_allclose(soft[1], (2e4 / temperature + np.log(2)) * temperature**2, rtol=RTOL)
    assert np.all(np.isfinite(hard))
    assert np.all(np.isfinite(soft))
    for loss in (
        lambda logits: losses.hard_distillation(teacher, logits),
        lambda logits: losses.soft_distillation(teacher, logits, temperature),
    ):
        assert np.all(np.isfinite(gradient(loss, student)))


@pytest.mark.parametrize("scale", [1.0, 30.0, 50.0, 60.0, 1e4])
def test_attention_distillation_is_finite_where_hardly_any_attention_falls_on_patches(scale):
    # The first token, a prefix, attracts the attention: at 60 the rest rounds to nearly zero, at 1e4 to exactly zero.
    logits = np.random.default_rng(0).normal(size=(BATCH, 2, 4, 4)).astype("float32")
    logits[..., 0] += scale
    teacher = random_attention(1, 3, patches=3).astype("float32")

    def loss(values):
        return losses.attention_distillation(teacher, ops.softmax(values, axis=-1)[:, :, 1:, 1:])

    assert np.all(np.isfinite(ops.convert_to_numpy(loss(ops.convert_to_tensor(logits)))))
    assert np.all(np.isfinite(gradient(loss, logits)))
    uniform = ops.convert_to_numpy(losses.attention_distillation(np.ones_like(teacher), np.zeros_like(teacher)))
    np.testing.assert_allclose(uniform, 0, atol=1e-6)  # an empty row counts as uniform


def test_the_first_of_equal_teacher_logits_decides():
    student = np.array([[0.0, 1.0, 3.0]])
    tie = losses.hard_distillation(np.array([[-1.0, 7.0, 7.0]]), student)
    first = losses.hard_distillation(np.array([[-1.0, 8.0, 7.0]]), student)
    np.testing.assert_array_equal(ops.convert_to_numpy(tie), ops.convert_to_numpy(first))
    all_equal = losses.hard_distillation(np.zeros((1, 3)), student)
    np.testing.assert_allclose(ops.convert_to_numpy(all_equal), -log_softmax(student)[:, 0], rtol=RTOL)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_cast_to_float32_first(dtype):
    teacher, student = (ops.cast(random_logits(seed), dtype) for seed in (0, 1))
    attention = ops.cast(random_attention(0, 2), dtype), ops.cast(random_attention(1, 3), dtype)
    exact = [ops.cast(tensor, "float32") for tensor in (teacher, student, *attention)]
    for values, expected in (
        (losses.hard_distillation(teacher, student), losses.hard_distillation(*exact[:2])),
        (losses.soft_distillation(teacher, student), losses.soft_distillation(*exact[:2])),
        (losses.attention_distillation(*attention), losses.attention_distillation(*exact[2:])),
    ):
        assert keras.backend.standardize_dtype(values.dtype) == "float32"
        np.testing.assert_array_equal(ops.convert_to_numpy(values), ops.convert_to_numpy(expected))


def test_teacher_and_student_may_differ_in_precision():
    teacher, student = random_logits(0), random_logits(1)  # NumPy makes them float64
    student = ops.convert_to_tensor(student.astype("float32"))
    expected = divergence(*(np.exp(log_softmax(logits / 3)) for logits in (random_logits(0), random_logits(1)))) * 9
    for teacher_dtype, rtol in (("float64", 1e-4), ("float16", 1e-2)):
        values = losses.soft_distillation(teacher.astype(teacher_dtype), student)
        np.testing.assert_allclose(ops.convert_to_numpy(values), expected, rtol=rtol)
        assert tuple(losses.hard_distillation(teacher.astype(teacher_dtype), student).shape) == (BATCH,)
    attention = random_attention(0, 2)
    values = losses.attention_distillation(attention, ops.convert_to_tensor(attention.astype("float32")))
    np.testing.assert_allclose(ops.convert_to_numpy(values), 0, atol=1e-6)


@pytest.mark.parametrize("loss", [losses.hard_distillation, losses.soft_distillation])
def test_different_numbers_of_classes_raise_with_both_shapes(loss):
    with pytest.raises(ValueError, match=r"same classes.*Received: teacher \(2, 10\), student \(2, 7\)"):
        loss(np.zeros((2, 10)), np.zeros((2, 7)))


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_raises(temperature):
    with pytest.raises(ValueError, match=f"`temperature` must be positive. Received: temperature={temperature}"):
        losses.soft_distillation(np.zeros((2, 3)), np.zeros((2, 3)), temperature)


def test_different_numbers_of_patches_raise_with_both_shapes():
    with pytest.raises(ValueError, match=r"same number of patches.*teacher \(5, 5\), student \(4, 4\)"):
        losses.attention_distillation(random_attention(0, 2, patches=5), random_attention(1, 2, patches=4))
